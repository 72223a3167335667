def verdict(low, high, margin):
    word = "undecided"
    if low > margin:
        word = "supported"
    elif high < margin:
        word = "refuted"
    return word
