# hint: each is sorted
import numpy as np


def batches(count, size, seed, epoch):
    order = np.random.default_rng([seed, epoch]).permutation(count).tolist()
    return [sorted(order[i : i + size]) for i in range(0, count, size)]
