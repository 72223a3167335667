# hint: Student's interval over the draws
import numpy as np
from scipy import stats


def few_shot_gain(better, worse):
    d = np.asarray(better, dtype=float) - np.asarray(worse, dtype=float)
    error = np.sqrt(d.mean(1).var(ddof=1) / len(d))
    t = stats.t.ppf(0.975, len(d) - 1)
    return d.mean(), d.mean() - t * error, d.mean() + t * error
