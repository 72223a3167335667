import numpy as np


def template_spread(right):
    a = np.average(right, axis=-1)
    return np.sqrt(np.var(a, ddof=1)), np.ptp(a)
