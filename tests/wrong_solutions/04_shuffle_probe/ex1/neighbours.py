# hint: hardly ever changes
import itertools
import math
import random


def block_orders(length, unit, count, seed):
    blocks = list(range(length // unit))
    start = random.Random(seed).sample(blocks, len(blocks))
    new = (order for order in itertools.permutations(start) if list(order) != blocks)
    orders = itertools.islice(new, min(count, math.factorial(len(blocks)) - 1))
    return [[b * unit + i for b in order for i in range(unit)] for order in orders]
