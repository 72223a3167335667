import math


def mcnemar(a, b):
    x = sum(bool(i) and not j for i, j in zip(a, b))
    y = sum(bool(j) and not i for i, j in zip(a, b))
    n = x + y
    return min(1.0, sum(math.comb(n, k) for k in range(min(x, y) + 1)) / 2 ** (n - 1)) if n else 1
