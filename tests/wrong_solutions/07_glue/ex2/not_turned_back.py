# hint: turn them back
import math

from scipy import stats


def fisher_interval(r, n):
    half = stats.norm.ppf(0.975) / math.sqrt(n - 3)
    return math.atanh(r) - half, math.atanh(r) + half
