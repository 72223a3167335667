import numpy as np
from scipy.stats import binomtest


def gate_cost(validation, test, majority):
    lows = [
        [binomtest(k, n).proportion_ci(confidence_level=0.95, method="wilson")[0] for k, n in part]
        for part in (validation, test)
    ]
    past, fine = np.array(lows) > np.array(majority)
    return np.array([past.sum(), (fine & ~past).sum()])
