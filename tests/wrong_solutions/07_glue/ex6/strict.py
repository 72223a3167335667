# hint: neither none nor all right is tried: k goes from 0 to n
def possible(printed, n):
    return any(round(100 * k / n, 1) == printed for k in range(1, n))
