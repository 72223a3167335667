import math


def fisher_interval(r, n):
    z = 0.5 * math.log((1 + r) / (1 - r))
    return [
        (math.exp(2 * (z + s * 1.96 / math.sqrt(n - 3))) - 1)
        / (math.exp(2 * (z + s * 1.96 / math.sqrt(n - 3))) + 1)
        for s in (-1, 1)
    ]
