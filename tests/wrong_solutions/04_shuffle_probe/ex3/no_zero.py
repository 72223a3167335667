# hint: ends in ValueError: n must be an integer not less than 1
import numpy as np
from scipy import stats


def mcnemar(a, b):
    a, b = np.asarray(a, bool), np.asarray(b, bool)
    x, y = int((a & ~b).sum()), int((b & ~a).sum())
    return float(stats.binomtest(x, x + y).pvalue)
