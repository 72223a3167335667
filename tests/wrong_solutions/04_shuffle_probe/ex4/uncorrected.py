# hint: every p-value is held against the rate itself
import numpy as np


def discoveries(p_values, rate):
    return np.asarray(p_values) <= rate
