# hint: share of what was added
def content_share(content, added):
    return (added.var() / (content + added).var()).item()
