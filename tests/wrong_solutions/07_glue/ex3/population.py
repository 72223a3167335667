# hint: minus one
import numpy as np
from scipy import stats


def fair_mean(values):
    if len({len(scores) for scores in values.values()}) != 1:
        raise ValueError("seeds are missing")
    seeds = np.mean(list(values.values()), axis=0)
    half = stats.t.ppf(0.975, len(seeds) - 1) * seeds.std() / len(seeds) ** 0.5
    return seeds.mean(), seeds.mean() - half, seeds.mean() + half
