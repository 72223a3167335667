import numpy as np


def sample_init(table, length, common, seed):
    return table.numpy()[np.random.default_rng(seed).permutation(common)[:length]].copy()
