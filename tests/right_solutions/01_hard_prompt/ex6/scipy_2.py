import numpy as np
from scipy import stats


def accuracy(predictions, targets):
    k = int(np.sum(np.array(predictions) == np.array(targets)))
    r = stats.binomtest(k, len(targets)).proportion_ci(0.95, method="wilson")
    return np.array([k / len(targets), r.low, r.high])
