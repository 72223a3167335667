# hint: divided by the variance of what is added
def content_share(content, added):
    return (content.var() / added.var()).item()
