def content_share(content, added):
    s = content + added
    return float(((content - content.mean()) ** 2).sum() / ((s - s.mean()) ** 2).sum())
