import numpy as np
from scipy import stats


def few_shot_gain(better, worse):
    d = better.astype(float) - worse
    half = stats.norm.ppf(0.975) * np.hypot(stats.sem(d.mean(1)), stats.sem(d.mean(0)))
    return float(d.mean()), float(d.mean() - half), float(d.mean() + half)
