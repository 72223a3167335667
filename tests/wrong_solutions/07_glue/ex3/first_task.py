# hint: this is the first task alone: average over tasks
import numpy as np
from scipy import stats


def fair_mean(values):
    if len({len(v) for v in values.values()}) > 1:
        raise ValueError
    s = list(values.values())[0]
    h = stats.t.ppf(0.975, len(s) - 1) * np.std(s, ddof=1) / len(s) ** 0.5
    return np.mean(s), np.mean(s) - h, np.mean(s) + h
