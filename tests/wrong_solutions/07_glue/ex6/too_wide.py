# hint: called possible that no k
def possible(printed, n):
    return any(abs(100 * k / n - printed) <= 0.1 for k in range(n + 1))
