import math
import statistics

from scipy import stats


def fair_mean(values):
    counts = {len(scores) for scores in values.values()}
    if len(counts) > 1:
        raise ValueError("some seeds are missing")
    seeds = [statistics.mean(scores[i] for scores in values.values()) for i in range(max(counts))]
    mean = statistics.mean(seeds)
    half = stats.t.ppf(0.975, len(seeds) - 1) * statistics.stdev(seeds) / math.sqrt(len(seeds))
    return mean, mean - half, mean + half
