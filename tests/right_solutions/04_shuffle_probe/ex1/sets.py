import math
import random


def block_orders(length, unit, count, seed):
    r = random.Random(seed)
    n = length // unit
    seen = set()
    while len(seen) < min(count, math.factorial(n) - 1):
        o = list(range(n))
        r.shuffle(o)
        if o != list(range(n)):
            seen.add(tuple(o))
    return [[b * unit + i for b in o for i in range(unit)] for o in sorted(seen)]
