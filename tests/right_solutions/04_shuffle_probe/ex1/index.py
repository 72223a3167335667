import math
import random


def block_orders(length, unit, count, seed):
    n = length // unit
    total = math.factorial(n)
    picks = random.Random(seed).sample(range(1, total), min(count, total - 1))

    def unrank(k):
        left, out = list(range(n)), []
        for i in range(n, 0, -1):
            q, k = divmod(k, math.factorial(i - 1))
            out.append(left.pop(q))
        return out

    return [[b * unit + i for b in unrank(k) for i in range(unit)] for k in picks]
