# hint: MB of memory
import itertools
import random


def block_orders(length, unit, count, seed):
    blocks = [list(range(i, i + unit)) for i in range(0, length, unit)]
    every = list(itertools.permutations(range(len(blocks))))[1:]
    random.Random(seed).shuffle(every)
    return [[token for b in arranged for token in blocks[b]] for arranged in every[:count]]
