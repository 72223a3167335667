# hint: a claim is supported only where *all* of the interval
def verdict(low, high, margin):
    if high > margin:
        return "supported"
    return "refuted"
