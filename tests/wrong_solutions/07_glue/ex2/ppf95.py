# hint: this is a 90 % interval
import math

from scipy import stats


def fisher_interval(r, n):
    h = stats.norm.ppf(0.95) / math.sqrt(n - 3)
    return math.tanh(math.atanh(r) - h), math.tanh(math.atanh(r) + h)
