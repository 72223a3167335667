# hint: twenty blocks have more than 10^18 orders
import math

import numpy as np


def block_orders(length, unit, count, seed):
    """Shuffles the numbers of all orders; their factorial digits say which block comes next."""
    n, orders = length // unit, []
    for number in 1 + np.random.default_rng(seed).permutation(math.factorial(n) - 1)[:count]:
        left, order = list(range(n)), []
        for more in range(n - 1, -1, -1):
            place, number = divmod(int(number), math.factorial(more))
            order.append(left.pop(place))
        orders.append([b * unit + i for b in order for i in range(unit)])
    return orders
