# hint: the value is above 1: a share of all predictions is not
import math


def accuracy(predictions, targets):
    n, z = len(targets), 1.96
    p = sum(a * b + (1 - a) * (1 - b) for a, b in zip(predictions, targets)) / n
    m, h = p + z * z / 2 / n, z * math.sqrt(max(0, p * (1 - p) / n + z * z / 4 / n / n))
    return p, (m - h) / (1 + z * z / n), (m + h) / (1 + z * z / n)
