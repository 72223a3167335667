def discoveries(p_values, rate):
    ordered, bound = sorted(p_values), -1.0
    for rank, p in enumerate(ordered, start=1):
        if p <= rank * rate / len(ordered):
            bound = p
    return [p <= bound for p in p_values]
