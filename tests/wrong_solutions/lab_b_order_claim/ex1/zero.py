# hint: the interval is held against 0
def verdict(low, high, margin):
    if low > 0:
        return "supported"
    return "refuted" if high < 0 else "undecided"
