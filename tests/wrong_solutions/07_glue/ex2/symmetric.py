# hint: symmetric in atanh
def fisher_interval(r, n):
    half = 1.96 * (1 - r * r) / (n - 3) ** 0.5
    return r - half, r + half
