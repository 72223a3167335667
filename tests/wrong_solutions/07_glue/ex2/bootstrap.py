# hint: the same arguments should give the same result
import math

import numpy as np


def fisher_interval(r, n):
    z = np.random.normal(math.atanh(r), 1 / math.sqrt(n - 3), 100000)
    return tuple(np.tanh(np.percentile(z, [2.5, 97.5])))
