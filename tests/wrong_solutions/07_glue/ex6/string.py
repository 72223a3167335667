# hint: a str comes back
def possible(printed, n):
    return str(any(round(100 * k / n, 1) == printed for k in range(n + 1)))
