# hint: (Bonferroni)
import numpy as np


def discoveries(p_values, rate):
    return np.asarray(p_values) <= rate / len(p_values)
