# hint: nothing comes back (None)
import numpy as np
from scipy import stats


def mcnemar(a, b):
    a, b = np.asarray(a, bool), np.asarray(b, bool)
    x, y = int((a & ~b).sum()), int((b & ~a).sum())
    if x + y == 0:
        return 1.0
    p = float(stats.binomtest(x, x + y).pvalue)
