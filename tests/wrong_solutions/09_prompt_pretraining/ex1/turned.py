# hint: the sign is turned round
import numpy as np


def few_shot_gain(better, worse):
    d = np.asarray(worse, dtype=float) - np.asarray(better, dtype=float)
    error = np.sqrt(d.mean(1).var(ddof=1) / len(d) + d.mean(0).var(ddof=1) / d.shape[1])
    return d.mean(), d.mean() - 1.96 * error, d.mean() + 1.96 * error
