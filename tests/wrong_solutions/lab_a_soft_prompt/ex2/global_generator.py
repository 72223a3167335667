# hint: reseeds the global generator
import numpy as np


def batches(count, size, seed, epoch):
    np.random.seed(seed + 1000 * epoch)
    order = np.random.permutation(count).tolist()
    return [order[i : i + size] for i in range(0, count, size)]
