import numpy as np
from scipy import stats


def fair_mean(values):
    means = np.array(list(values.values()), dtype=float).mean(axis=0)  # ragged: ValueError
    low, high = stats.t.interval(0.95, len(means) - 1, loc=means.mean(), scale=stats.sem(means))
    return means.mean(), low, high
