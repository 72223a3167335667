# hint: block_orders reseeds the global generator (numpy.random.seed): whatever the notebook draws
import math

import numpy as np


def block_orders(length, unit, count, seed):
    np.random.seed(seed)
    n = length // unit
    found = {}
    want = min(count, math.factorial(n) - 1)
    while len(found) < want:
        b = tuple(np.random.permutation(n).tolist())
        if b != tuple(range(n)):
            found[b] = 1
    return [[x * unit + i for x in b for i in range(unit)] for b in found]
