# hint: the lower end comes first
import math


def accuracy(predictions, targets):
    n = len(targets)
    p = sum(a == b for a, b in zip(predictions, targets, strict=True)) / n
    z = 1.96
    middle, below = p + z**2 / (2 * n), 1 + z**2 / n
    half = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return p, (middle + half) / below, (middle - half) / below
