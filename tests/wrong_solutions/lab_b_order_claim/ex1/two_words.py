# hint: not supported is not refuted
def verdict(low, high, margin):
    return "supported" if low > margin else "refuted"
