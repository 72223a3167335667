# hint: not 1/√n
import math

from scipy import stats


def fisher_interval(r, n):
    half = stats.norm.ppf(0.975) / math.sqrt(n)
    return math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)
