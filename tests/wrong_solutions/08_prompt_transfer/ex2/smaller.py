# hint: divided by the smaller set
def overlap(a, b):
    return ((a & b).sum() / min(a.sum(), b.sum())).item()
