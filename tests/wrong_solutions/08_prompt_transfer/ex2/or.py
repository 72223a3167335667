# hint: the union stands above the line: those active in both
def overlap(a, b):
    both = (a | b).sum().item()
    return both / (a.sum().item() * b.sum().item()) ** 0.5 if a.any() and b.any() else 0.0
