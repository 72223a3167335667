import math
from collections import namedtuple

Acc = namedtuple("Acc", "value low high")


def accuracy(predictions, targets):
    n, z = len(targets), 1.96
    p = sum(a == b for a, b in zip(predictions, targets)) / n
    m, h = (
        (p + z * z / 2 / n) / (1 + z * z / n),
        z * math.sqrt(p * (1 - p) / n + z * z / 4 / n / n) / (1 + z * z / n),
    )
    return Acc(p, max(0, m - h), min(1, m + h))
