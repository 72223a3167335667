# hint: does it draw at random
import numpy as np


def batches(count, size, seed, epoch):
    order = np.random.permutation(count).tolist()
    return [order[i : i + size] for i in range(0, count, size)]
