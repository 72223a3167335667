# hint: the low end comes first
import math


def fisher_interval(r, n):
    half = 1.96 / math.sqrt(n - 3)
    return math.tanh(math.atanh(r) + half), math.tanh(math.atanh(r) - half)
