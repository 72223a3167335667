def discoveries(p_values, rate):
    count = len(p_values)
    fits = [q for q in p_values if q <= sum(p <= q for p in p_values) / count * rate]
    return [any(p <= q for q in fits) for p in p_values]
