# hint: these are the smallest and the largest seed: Student's interval
import numpy as np


def fair_mean(values):
    if len({len(v) for v in values.values()}) > 1:
        raise ValueError
    s = np.mean(list(values.values()), axis=0)
    return s.mean(), s.min(), s.max()
