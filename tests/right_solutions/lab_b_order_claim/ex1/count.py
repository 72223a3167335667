def verdict(low, high, margin):
    return ("refuted", "undecided", "supported")[int(low > margin) + int(high >= margin)]
