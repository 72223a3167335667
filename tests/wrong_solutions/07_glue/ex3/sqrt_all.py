# hint: the deviation is divided by the root of all runs: by that of the seeds
import numpy as np
from scipy import stats


def fair_mean(values):
    if len({len(v) for v in values.values()}) > 1:
        raise ValueError
    s = np.mean(list(values.values()), axis=0)
    h = stats.t.ppf(0.975, len(s) - 1) * s.std(ddof=1) / (len(s) * len(values)) ** 0.5
    return s.mean(), s.mean() - h, s.mean() + h
