# hint: gives no answer within 10 seconds: still drawing: how many orders exist? Of three blocks t
import random


def block_orders(length, unit, count, seed):
    r = random.Random(seed)
    n = length // unit
    found = set()
    while len(found) < count:
        b = list(range(n))
        r.shuffle(b)
        if b != list(range(n)):
            found.add(tuple(b))
    return [[x * unit + i for x in b for i in range(unit)] for b in sorted(found)]
