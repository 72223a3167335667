# hint: the search stops at the first rank above its line
import numpy as np


def discoveries(p_values, rate):
    found = np.zeros(len(p_values), dtype=bool)
    for rank, index in enumerate(np.argsort(p_values), 1):
        if p_values[index] > rank / len(p_values) * rate:
            break
        found[index] = True
    return found
