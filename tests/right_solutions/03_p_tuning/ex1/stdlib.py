import statistics


def template_spread(right):
    a = [sum(map(int, r)) / len(r) for r in right.tolist()]
    return [statistics.stdev(a), max(a) - min(a)]
