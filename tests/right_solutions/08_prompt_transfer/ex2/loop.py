def share_kept(values, own, controls, fair):
    above = below = 0.0
    for target in range(len(own)):
        level = max(row[target] for row in controls)
        sources = [row[target] for row, ok in zip(values, fair[:, target]) if ok]
        if sources and own[target] > level:
            above += sum(sources) / len(sources) - level
            below += own[target] - level
    return above / below
