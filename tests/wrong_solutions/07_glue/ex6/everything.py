# hint: everything is possible
def possible(printed, n):
    return any(abs(100 * k / n - printed) <= 50 for k in range(n + 1))
