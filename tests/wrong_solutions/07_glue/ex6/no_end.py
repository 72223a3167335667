# hint: more than all right
def possible(printed, n):
    k = round(printed * n / 100)
    return abs(100 * k / n - printed) <= 0.05 + 1e-9
