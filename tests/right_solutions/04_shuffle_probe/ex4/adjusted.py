import numpy as np


def discoveries(p_values, rate):
    order = np.argsort(p_values)[::-1]
    count = len(order)
    adjusted = np.asarray(p_values)[order] * count / np.arange(count, 0, -1)
    found = np.empty(count, dtype=bool)
    found[order] = np.minimum.accumulate(adjusted) <= rate
    return found
