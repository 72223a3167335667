import math

import numpy as np


def block_orders(length, unit, count, seed):
    g = np.random.default_rng(seed)
    n = length // unit
    out = []
    want = min(count, math.factorial(n) - 1)
    while len(out) < want:
        o = g.permutation(n).tolist()
        if o != sorted(o) and o not in out:
            out.append(o)
    b = np.arange(length).reshape(n, unit)
    return np.array([b[o].ravel() for o in out]).reshape(len(out), length)
