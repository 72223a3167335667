import numpy as np
from scipy import stats


def accuracy(predictions, targets):
    n, z = len(targets), stats.norm.ppf(0.975)
    p = np.mean([a == b for a, b in zip(predictions, targets)])
    lo, hi = sorted(np.roots([1 + z * z / n, -(2 * p + z * z / n), p * p]).real)
    return [p, lo, hi]
