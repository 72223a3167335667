import numpy as np


def sample_init(table, length, common, seed):
    i = np.random.default_rng(seed).choice(common, length, replace=False)
    return table[i].detach().clone()
