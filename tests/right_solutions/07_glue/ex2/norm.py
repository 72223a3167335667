import math

from scipy import stats


def fisher_interval(r, n):
    a, b = stats.norm.interval(0.95, math.atanh(r), (n - 3) ** -0.5)
    return math.tanh(a), math.tanh(b)
