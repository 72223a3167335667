# hint: one variance is divided by N, the other by N − 1: the same for both
def content_share(content, added):
    return (content.var(unbiased=False) / (content + added).var()).item()
