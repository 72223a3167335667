# hint: orders of 4 numbers come back
import itertools
import random


def block_orders(length, unit, count, seed):
    p = list(itertools.permutations(range(length // unit)))[1:]
    random.Random(seed).shuffle(p)
    return [list(b) for b in p[:count]]
