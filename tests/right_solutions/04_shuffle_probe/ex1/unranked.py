import math
import random

import numpy as np


def block_orders(length, unit, count, seed):
    """Numbers of permutations, drawn; their factorial digits say which block comes next."""
    blocks = length // unit
    exist, draw, numbers = math.factorial(blocks), random.Random(str(seed)), set()
    while len(numbers) < min(count, exist - 1):
        numbers.add(draw.randrange(1, exist))  # number 0 is the trained order
    orders = []
    for number in sorted(numbers):
        left, order = list(range(blocks)), []
        for more in range(blocks - 1, -1, -1):
            place, number = divmod(number, math.factorial(more))
            order.append(left.pop(place))
        orders.append(np.arange(length).reshape(blocks, unit)[order].ravel())
    return orders
