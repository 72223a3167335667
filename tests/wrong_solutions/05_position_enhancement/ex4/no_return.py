# hint: nothing comes back (None)
def content_share(content, added):
    share = (content.var() / (content + added).var()).item()
