def same_kind_gain(values, level, same_kind, fair):
    sources, targets = values.shape
    total, count = 0.0, 0
    for t in range(targets):
        own = [values[s, t] for s in range(sources) if fair[s, t] and same_kind[s, t]]
        if own:
            total += sum(own) / len(own) - level[t]
            count += 1
    return total / count
