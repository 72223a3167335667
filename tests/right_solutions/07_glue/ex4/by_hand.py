def gate_cost(validation, test, majority):
    z = 1.959963984540054

    def low(right, n):
        p = right / n
        middle = p + z * z / (2 * n)
        return (middle - z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5) / (1 + z * z / n)

    past = [low(*counts) > level for counts, level in zip(validation, majority)]
    fine = [low(*counts) > level for counts, level in zip(test, majority)]
    return sum(past), sum(f and not p for p, f in zip(past, fine))
