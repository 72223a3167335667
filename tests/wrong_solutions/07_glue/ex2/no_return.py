# hint: nothing comes back (None)
import math


def fisher_interval(r, n):
    h = 1.96 / math.sqrt(n - 3)
    low, high = math.tanh(math.atanh(r) - h), math.tanh(math.atanh(r) + h)
