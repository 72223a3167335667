# hint: a p-value above its own line is left out
import numpy as np


def discoveries(p_values, rate):
    ranks = np.argsort(np.argsort(p_values)) + 1
    return np.asarray(p_values) <= ranks / len(p_values) * rate
