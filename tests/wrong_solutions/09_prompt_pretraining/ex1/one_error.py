# hint: one standard error each way holds 68 %
import numpy as np


def few_shot_gain(better, worse):
    d = np.asarray(better, dtype=float) - np.asarray(worse, dtype=float)
    error = np.sqrt(d.mean(1).var(ddof=1) / len(d) + d.mean(0).var(ddof=1) / d.shape[1])
    return d.mean(), d.mean() - error, d.mean() + error
