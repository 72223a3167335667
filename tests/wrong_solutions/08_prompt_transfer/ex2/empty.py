# hint: not a division by zero
def overlap(a, b):
    return int((a & b).sum()) / (int(a.sum()) * int(b.sum())) ** 0.5
