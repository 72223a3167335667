import math


def possible(printed, n):
    return any(math.isclose(round(100 * k / n, 1), printed, abs_tol=1e-6) for k in range(n + 1))
