# hint: True and False are asked for
import numpy as np


def discoveries(p_values, rate):
    ordered = np.sort(p_values)
    below = np.flatnonzero(ordered <= np.arange(1, len(ordered) + 1) / len(ordered) * rate)
    bound = ordered[below[-1]] if len(below) else -1.0
    return (p_values <= bound).astype(int)
