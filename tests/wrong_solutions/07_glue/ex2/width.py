# hint: the first value, the low end, lies above the second
import math


def fisher_interval(r, n):
    h = 1.96 / math.sqrt(n - 3)
    return r, math.tanh(math.atanh(r) + h) - math.tanh(math.atanh(r) - h)
