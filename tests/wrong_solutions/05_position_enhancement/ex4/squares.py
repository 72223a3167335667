# hint: a mean of squares is not
def content_share(content, added):
    whole = content + added
    return (content.square().mean() / whole.square().mean()).item()
