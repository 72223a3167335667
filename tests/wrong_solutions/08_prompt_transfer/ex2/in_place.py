# hint: overlap changes its argument `a`: work on a copy, the caller needs it as it was
def overlap(a, b):
    na, nb = a.sum().item(), b.sum().item()
    a &= b
    both = a.sum().item()
    return both / (na * nb) ** 0.5 if both else 0.0
