import numpy as np


def fisher_interval(r, n):
    z = np.arctanh(r)
    h = 1.96 / np.sqrt(n - 3)
    return np.tanh([z - h, z + h])
