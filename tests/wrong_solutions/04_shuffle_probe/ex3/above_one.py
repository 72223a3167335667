# hint: never above it
import numpy as np
from scipy import stats


def mcnemar(a, b):
    a, b = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    if only_a + only_b == 0:
        return 1.0
    return 2 * stats.binom.cdf(min(only_a, only_b), only_a + only_b, 0.5)
