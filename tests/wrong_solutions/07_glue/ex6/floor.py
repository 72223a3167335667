# hint: this is cut, not rounded, to one decimal
import math


def possible(printed, n):
    return any(math.floor(1000 * k / n) / 10 == printed for k in range(n + 1))
