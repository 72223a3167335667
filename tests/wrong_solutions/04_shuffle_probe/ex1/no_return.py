# hint: nothing comes back (None): is the `return` missing?
import itertools
import random


def block_orders(length, unit, count, seed):
    p = list(itertools.permutations(range(length // unit)))[1:]
    random.Random(seed).shuffle(p)
