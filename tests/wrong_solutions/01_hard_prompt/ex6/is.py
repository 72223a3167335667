# hint: `is` asks for the same object, which equal numbers above 256 are not: compare with ==
import math


def accuracy(predictions, targets):
    n, z = len(targets), 1.96
    p = sum(a is b for a, b in zip(predictions, targets)) / n
    m, h = p + z * z / 2 / n, z * math.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    return p, (m - h) / (1 + z * z / n), (m + h) / (1 + z * z / n)
