# hint: sentences on which the two agree are counted: only those that one alone gets right
import numpy as np
from scipy import stats


def mcnemar(a, b):
    a, b = np.asarray(a, bool), np.asarray(b, bool)
    k, n = int((a == b).sum()), len(a)
    return float(stats.binomtest(k, n).pvalue)
