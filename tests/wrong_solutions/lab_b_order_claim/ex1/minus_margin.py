# hint: refuted is held against −margin
def verdict(low, high, margin):
    if low > margin:
        return "supported"
    return "refuted" if high < -margin else "undecided"
