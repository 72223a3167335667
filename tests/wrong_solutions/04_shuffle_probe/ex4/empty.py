# hint: list index out of range
def discoveries(p_values, rate):
    ordered, count = sorted(p_values), len(p_values)
    below = [k for k in range(1, count + 1) if ordered[k - 1] <= k / count * rate]
    return [p <= ordered[below[-1] - 1] for p in p_values]
