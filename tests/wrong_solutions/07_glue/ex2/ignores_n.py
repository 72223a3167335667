# hint: `n` makes no difference to the result
import math


def fisher_interval(r, n):
    h = 1.96 / 10
    return math.tanh(math.atanh(r) - h), math.tanh(math.atanh(r) + h)
