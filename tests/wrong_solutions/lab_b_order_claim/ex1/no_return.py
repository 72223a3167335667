# hint: nothing comes back (None)
def verdict(low, high, margin):
    word = "undecided"
    if low > margin:
        word = "supported"
