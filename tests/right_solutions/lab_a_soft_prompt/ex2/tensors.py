import numpy as np
import torch


def batches(count, size, seed, epoch):
    order = np.random.default_rng([seed, epoch]).permutation(count)
    return list(torch.from_numpy(order).split(size))
