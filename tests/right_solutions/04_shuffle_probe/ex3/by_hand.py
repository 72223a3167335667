import math


def mcnemar(a, b):
    pairs = [(bool(x), bool(y)) for x, y in zip(a, b, strict=True) if bool(x) != bool(y)]
    n, fewer = len(pairs), min(sum(x for x, _ in pairs), sum(y for _, y in pairs))
    tail = sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n
    return min(1.0, 2 * tail)
