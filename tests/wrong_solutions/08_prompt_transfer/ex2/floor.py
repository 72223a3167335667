# hint: what is behind the point was cut off
def overlap(a, b):
    both = (a & b).sum().item()
    return both // (a.sum().item() * b.sum().item()) ** 0.5 if both else 0.0
