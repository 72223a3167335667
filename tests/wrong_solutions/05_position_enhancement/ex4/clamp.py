# hint: the share is cut at 1: it may be larger where what is added takes content away
def content_share(content, added):
    return min(1.0, (content.var() / (content + added).var()).item())
