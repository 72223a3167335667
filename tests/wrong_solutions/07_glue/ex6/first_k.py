# hint: a number was called impossible that some k of n is rounded to
def possible(printed, n):
    for k in range(n + 1):
        if round(100 * k / n, 1) == printed:
            return True
        else:
            return False
