# hint: this is a ratio of mean absolute deviations: a variance squares them
def content_share(content, added):
    d = lambda x: (x - x.mean()).abs().mean()
    return (d(content) / d(content + added)).item()
