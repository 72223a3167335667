# hint: the p-values are not sorted
import numpy as np


def discoveries(p_values, rate):
    p = np.asarray(p_values)
    lines = np.arange(1, len(p) + 1) / len(p) * rate
    below = np.flatnonzero(p <= lines)
    last = below[-1] if len(below) else -1
    return np.arange(len(p)) <= last
