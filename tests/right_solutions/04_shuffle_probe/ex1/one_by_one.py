import math

import numpy as np


def block_orders(length, unit, count, seed):
    random = np.random.default_rng(seed)
    tokens = np.arange(length).reshape(-1, unit)
    found = []
    while len(found) < min(count, math.factorial(len(tokens)) - 1):
        order = random.permutation(tokens).reshape(-1).tolist()
        if order != sorted(order) and order not in found:
            found.append(order)
    return found
