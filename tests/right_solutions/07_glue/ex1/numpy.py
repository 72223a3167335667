import numpy as np


def read(scores, low, high):
    e = np.exp(scores.numpy() - scores.numpy().max(1, keepdims=True))
    return low + (high - low) * e[:, 1] / e.sum(1)
