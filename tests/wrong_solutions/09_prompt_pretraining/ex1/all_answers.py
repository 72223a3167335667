# hint: every answer counts as if it had a draw
import numpy as np


def few_shot_gain(better, worse):
    d = np.asarray(better, dtype=float) - np.asarray(worse, dtype=float)
    error = np.sqrt(d.var(ddof=1) / d.size)
    return d.mean(), d.mean() - 1.96 * error, d.mean() + 1.96 * error
