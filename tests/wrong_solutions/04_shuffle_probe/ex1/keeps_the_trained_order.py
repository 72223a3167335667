# hint: leave it out
import itertools


def block_orders(length, unit, count, seed):
    blocks = [list(range(i, i + unit)) for i in range(0, length, unit)]
    every = list(itertools.permutations(range(len(blocks))))
    return [[token for b in arranged for token in blocks[b]] for arranged in every[:count]]
