# hint: The variance of all entries of the content
def content_share(content, added):
    return round((content.var() / (content + added).var()).item(), 1)
