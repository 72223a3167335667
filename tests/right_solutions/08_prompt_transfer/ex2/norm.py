def overlap(a, b):
    x, y = a.double(), b.double()
    n = x.norm() * y.norm()
    return (x @ y / n).item() if n > 0 else 0.0
