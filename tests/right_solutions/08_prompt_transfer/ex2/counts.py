def overlap(a, b):
    both = int((a & b).sum())
    return both / (int(a.sum()) * int(b.sum())) ** 0.5 if both else 0.0
