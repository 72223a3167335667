import itertools
import math
import random


def block_orders(length, unit, count, seed):
    n, draw = length // unit, random.Random(seed)
    if n <= 6:  # 719 at most
        orders = list(itertools.permutations(range(n)))[1:]
        draw.shuffle(orders)
    else:
        orders = {}
        while len(orders) < min(count, math.factorial(n) - 1):
            orders[tuple(draw.sample(range(n), n))] = None
            orders.pop(tuple(range(n)), None)
    return [tuple(b * unit + i for b in o for i in range(unit)) for o in list(orders)[:count]]
