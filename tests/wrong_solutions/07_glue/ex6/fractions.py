# hint: compare after rounding
def possible(printed, n):
    return any(100 * k / n == printed for k in range(n + 1))
