# hint: nothing comes back (None)
def possible(printed, n):
    for k in range(n + 1):
        if round(100 * k / n, 1) == printed:
            return True
