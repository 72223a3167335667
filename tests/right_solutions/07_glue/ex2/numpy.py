import numpy as np


def fisher_interval(r, n):
    z = 0.5 * np.log((1 + r) / (1 - r)) + np.array([-1.96, 1.96]) / np.sqrt(n - 3)
    low, high = (np.exp(2 * z) - 1) / (np.exp(2 * z) + 1)
    return float(low), float(high)
