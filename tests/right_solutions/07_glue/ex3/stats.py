import numpy as np
from scipy import stats


def fair_mean(values):
    if len(set(map(len, values.values()))) > 1:
        raise ValueError("seeds")
    s = np.array(list(values.values())).mean(0)
    sem = stats.sem(s)
    if sem == 0:
        return s.mean(), s.mean(), s.mean()
    return (s.mean(), *stats.t.interval(0.95, len(s) - 1, loc=s.mean(), scale=sem))
