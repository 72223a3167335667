import numpy as np
from scipy import stats


def mcnemar(a, b):
    a, b = (np.array(v).astype(bool) for v in (a, b))
    x, y = (a > b).sum(), (b > a).sum()
    return stats.binomtest(int(x), int(x + y)).pvalue if x + y else np.float64(1)
