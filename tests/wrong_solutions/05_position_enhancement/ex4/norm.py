# hint: this is a ratio of lengths: a variance is about the mean, and squared
def content_share(content, added):
    return (content.norm() / (content + added).norm()).item()
