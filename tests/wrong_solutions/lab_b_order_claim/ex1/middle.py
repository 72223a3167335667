# hint: the middle of the interval decides
def verdict(low, high, margin):
    return "supported" if (low + high) / 2 > margin else "refuted"
