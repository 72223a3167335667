# hint: content_share changes its argument `content`: work on a copy, the caller needs it as it wa
def content_share(content, added):
    v = content.var()
    content += added
    return (v / content.var()).item()
