# hint: an end on the margin counts
def verdict(low, high, margin):
    if low >= margin:
        return "supported"
    return "refuted" if high <= margin else "undecided"
