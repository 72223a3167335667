# hint: stand in the order of the sorted p-values
import numpy as np


def discoveries(p_values, rate):
    p = np.asarray(p_values)
    lines = np.arange(1, len(p) + 1) / len(p) * rate
    below = np.flatnonzero(np.sort(p) <= lines)
    return np.sort(p) <= np.sort(p)[below[-1]] if len(below) else np.zeros(len(p), dtype=bool)
