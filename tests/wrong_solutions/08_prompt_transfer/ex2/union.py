# hint: divided by the union
def overlap(a, b):
    return ((a & b).sum() / (a | b).sum()).item()
