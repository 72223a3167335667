def retrieved_gain(values, alike, fair):
    gains = []
    for target in range(values.shape[1]):
        sources = [s for s in range(len(values)) if fair[s, target]]
        if len(sources) < 2:
            continue
        first = max(sources, key=lambda s: alike[s, target])
        mean = sum(values[s, target] for s in sources) / len(sources)
        gains.append(values[first, target] - mean)
    return sum(gains) / len(gains)
