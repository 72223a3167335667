import numpy as np


def learning_rate(step, steps, lr, warmup):
    places = [-1, warmup - 1, warmup, steps]
    return np.interp(step, places, [0, lr, lr, 0])
