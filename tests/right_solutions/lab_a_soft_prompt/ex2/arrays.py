import numpy as np


def batches(count, size, seed, epoch):
    order = np.random.default_rng((seed, epoch)).permutation(count)
    return [part for part in np.split(order, range(size, count, size))]
