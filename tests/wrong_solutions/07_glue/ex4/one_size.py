# hint: the n of the first one
def gate_cost(validation, test, majority):
    def beats(pairs):
        z, low = 1.959964, []
        for right, _ in pairs:
            n = pairs[0][1]
            p = right / n
            root = max(p * (1 - p) / n + z * z / (4 * n * n), 0.0) ** 0.5
            low.append((p + z * z / (2 * n) - z * root) / (1 + z * z / n))
        return [end > level for end, level in zip(low, majority)]

    past, good = beats(validation), beats(test)
    return sum(past), sum(g and not p for p, g in zip(past, good))
