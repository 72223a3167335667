# hint: over all entries of the matrix
def content_share(content, added):
    return content.var(0) / (content + added).var(0)
