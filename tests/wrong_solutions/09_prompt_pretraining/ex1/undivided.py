# hint: the variances are not divided
import numpy as np


def few_shot_gain(better, worse):
    d = np.asarray(better, dtype=float) - np.asarray(worse, dtype=float)
    error = np.sqrt(d.mean(1).var(ddof=1) + d.mean(0).var(ddof=1))
    return d.mean(), d.mean() - 1.96 * error, d.mean() + 1.96 * error
