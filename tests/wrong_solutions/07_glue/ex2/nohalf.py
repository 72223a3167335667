# hint: r itself lies outside of it
import math


def fisher_interval(r, n):
    z = math.log((1 + r) / (1 - r))
    h = 1.96 / math.sqrt(n - 3)
    return math.tanh(z - h), math.tanh(z + h)
