# hint: supported and refuted are exchanged
def verdict(low, high, margin):
    if high < margin:
        return "supported"
    return "refuted" if low > margin else "undecided"
