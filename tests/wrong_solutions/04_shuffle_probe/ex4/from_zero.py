# hint: the ranks begin at 0
import numpy as np


def discoveries(p_values, rate):
    p = np.asarray(p_values)
    lines = np.arange(len(p)) / len(p) * rate
    below = np.flatnonzero(np.sort(p) <= lines)
    return p <= np.sort(p)[below[-1]] if len(below) else np.zeros(len(p), dtype=bool)
