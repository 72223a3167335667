import math

from scipy import stats


def fisher_interval(r, n):
    low, high = stats.norm.interval(0.95, loc=math.atanh(r), scale=(n - 3) ** -0.5)
    return math.tanh(low), math.tanh(high)
