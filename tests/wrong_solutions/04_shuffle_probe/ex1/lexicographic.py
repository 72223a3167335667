# hint: another seed should give other orders: `seed` makes no difference
import itertools


def block_orders(length, unit, count, seed):
    n = length // unit
    p = list(itertools.islice(itertools.permutations(range(n)), 1, count + 1))
    return [[x * unit + i for x in b for i in range(unit)] for b in p]
