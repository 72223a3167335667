# hint: this is the normal approximation
import math


def accuracy(predictions, targets):
    n = len(targets)
    p = sum(a == b for a, b in zip(predictions, targets, strict=True)) / n
    half = 1.96 * math.sqrt(p * (1 - p) / n)
    return p, p - half, p + half
