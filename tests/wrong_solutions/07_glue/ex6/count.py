# hint: a list comes back
def possible(printed, n):
    return [k for k in range(n + 1) if round(100 * k / n, 1) == printed]
