import numpy as np


def template_spread(right):
    a = [float(np.mean(r)) for r in right]
    m = sum(a) / len(a)
    return (sum((x - m) ** 2 for x in a) / (len(a) - 1)) ** 0.5, max(a) - min(a)
