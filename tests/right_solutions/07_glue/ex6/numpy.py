import numpy as np


def possible(printed, n):
    return np.any(np.isclose(np.round(100 * np.arange(n + 1) / n, 1), printed))
