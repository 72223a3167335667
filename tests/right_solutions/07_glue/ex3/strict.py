import math
import statistics

from scipy import stats


def fair_mean(values):
    s = [statistics.mean(c) for c in zip(*values.values(), strict=True)]
    m = statistics.mean(s)
    h = stats.t.ppf(0.975, len(s) - 1) * statistics.stdev(s) / math.sqrt(len(s))
    return [m, m - h, m + h]
