# hint: refuted is held against 0
def verdict(low, high, margin):
    if low > margin:
        return "supported"
    return "refuted" if high < 0 else "undecided"
