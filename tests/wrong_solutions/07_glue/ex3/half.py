# hint: a tuple of 2 comes back
import numpy as np
from scipy import stats


def fair_mean(values):
    if len({len(v) for v in values.values()}) > 1:
        raise ValueError
    s = np.mean(list(values.values()), axis=0)
    return s.mean(), stats.t.ppf(0.975, len(s) - 1) * s.std(ddof=1) / len(s) ** 0.5
