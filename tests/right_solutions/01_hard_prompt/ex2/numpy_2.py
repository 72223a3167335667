import numpy as np


def split(sentences, labels, share, seed):
    u, inv = np.unique(np.array(sentences), return_inverse=True)
    test = np.zeros(len(u), bool)
    test[np.random.default_rng(seed).permutation(len(u))[: int(share * len(u))]] = True
    rows = list(zip(sentences, labels))
    return [r for r, i in zip(rows, inv) if not test[i]], [r for r, i in zip(rows, inv) if test[i]]
