# hint: seed and epoch are exchanged
import numpy as np


def batches(count, size, seed, epoch):
    order = np.random.default_rng([epoch, seed]).permutation(count).tolist()
    return [order[i : i + size] for i in range(0, count, size)]
