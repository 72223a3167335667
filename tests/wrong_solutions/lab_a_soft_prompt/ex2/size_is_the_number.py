# hint: `size` is taken for the number of batches
import numpy as np


def batches(count, size, seed, epoch):
    order = np.random.default_rng([seed, epoch]).permutation(count).tolist()
    return [order[i : i + -(-count // size)] for i in range(0, count, -(-count // size))]
