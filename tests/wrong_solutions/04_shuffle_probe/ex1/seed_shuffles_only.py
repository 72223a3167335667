# hint: another seed should give other orders, not the same ones mixed
import itertools
import random


def block_orders(length, unit, count, seed):
    p = list(itertools.islice(itertools.permutations(range(length // unit)), 1, count + 1))
    random.Random(seed).shuffle(p)
    return [[x * unit + i for x in b for i in range(unit)] for b in p]
