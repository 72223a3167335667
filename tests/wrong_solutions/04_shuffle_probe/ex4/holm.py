# hint: this is Holm's procedure
import numpy as np


def discoveries(p_values, rate):
    found, count = np.zeros(len(p_values), dtype=bool), len(p_values)
    for done, index in enumerate(np.argsort(p_values)):
        if p_values[index] > rate / (count - done):
            break
        found[index] = True
    return found
