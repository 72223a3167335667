def content_share(content, added):
    whole = content + added
    parts = [((x - x.mean()) ** 2).sum() for x in (content, whole)]
    return parts[0] / parts[1]
