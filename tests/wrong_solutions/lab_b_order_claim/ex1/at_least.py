# hint: a lower end on the margin
def verdict(low, high, margin):
    if low >= margin:
        return "supported"
    return "refuted" if high < margin else "undecided"
