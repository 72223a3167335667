# hint: fewer seeds went through
import numpy as np
from scipy import stats


def fair_mean(values):
    count = min(map(len, values.values()))
    seeds = np.mean([scores[:count] for scores in values.values()], axis=0)
    half = stats.t.ppf(0.975, len(seeds) - 1) * seeds.std(ddof=1) / len(seeds) ** 0.5
    return seeds.mean(), seeds.mean() - half, seeds.mean() + half
