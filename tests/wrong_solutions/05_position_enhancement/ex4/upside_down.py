# hint: upside down
def content_share(content, added):
    return ((content + added).var() / content.var()).item()
