# hint: average over tasks first
import numpy as np
from scipy import stats


def fair_mean(values):
    if len({len(scores) for scores in values.values()}) != 1:
        raise ValueError("seeds are missing")
    every = np.concatenate(list(values.values()))
    half = stats.t.ppf(0.975, len(every) - 1) * every.std(ddof=1) / len(every) ** 0.5
    return every.mean(), every.mean() - half, every.mean() + half
