# hint: 0.05 is the rate whatever was asked for
import numpy as np


def discoveries(p_values, rate):
    p = np.asarray(p_values)
    lines = np.arange(1, len(p) + 1) / len(p) * 0.05
    below = np.flatnonzero(np.sort(p) <= lines)
    return p <= np.sort(p)[below[-1]] if len(below) else np.zeros(len(p), dtype=bool)
