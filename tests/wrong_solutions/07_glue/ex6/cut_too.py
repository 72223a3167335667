# hint: only rounded ones
import math


def possible(printed, n):
    shares = [100 * k / n for k in range(n + 1)]
    cut = [math.floor(10 * share) / 10 for share in shares]
    return printed in cut or any(abs(round(s, 1) - printed) < 1e-6 for s in shares)
