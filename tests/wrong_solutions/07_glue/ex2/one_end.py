# hint: a float comes back
import math


def fisher_interval(r, n):
    h = 1.96 / math.sqrt(n - 3)
    return math.tanh(math.atanh(r) + h)
