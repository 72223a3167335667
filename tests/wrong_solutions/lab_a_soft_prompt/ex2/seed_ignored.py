# hint: the seed makes no difference
import numpy as np


def batches(count, size, seed, epoch):
    order = np.random.default_rng(epoch).permutation(count).tolist()
    return [order[i : i + size] for i in range(0, count, size)]
