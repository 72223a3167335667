import itertools
import random


def block_orders(length, unit, count, seed):
    n = length // unit
    every = list(itertools.permutations(range(n)))[1:]
    random.Random(seed).shuffle(every)
    return [tuple(b * unit + i for b in o for i in range(unit)) for o in every[:count]]
