import statistics

from scipy import stats


def fair_mean(values):
    seeds = [statistics.mean(column) for column in zip(*values.values(), strict=True)]
    middle, error = statistics.mean(seeds), statistics.stdev(seeds) / len(seeds) ** 0.5
    return middle, *stats.t.interval(0.95, len(seeds) - 1, middle, error)
