import math


def possible(printed, n):
    k = printed * n / 100
    return any(
        0 <= j <= n and abs(100 * j / n - printed) < 0.0500001
        for j in (math.floor(k), math.ceil(k))
    )
