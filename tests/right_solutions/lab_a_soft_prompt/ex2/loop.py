import numpy as np


def batches(count, size, seed, epoch):
    left = list(np.random.default_rng([seed, epoch]).permutation(count))
    found = []
    while left:
        found.append(left[:size])
        left = left[size:]
    return found
