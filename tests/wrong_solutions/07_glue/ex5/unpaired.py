# hint: the spread of the runs themselves
import numpy as np
from scipy import stats


def paired_gain(changed, plain):
    seeds = [seed for seed in changed if seed in plain]
    if len(seeds) < 2:
        raise ValueError("two shared seeds at least")
    a, b = [changed[seed] for seed in seeds], [plain[seed] for seed in seeds]
    error = ((np.var(a, ddof=1) + np.var(b, ddof=1)) / len(seeds)) ** 0.5
    half = stats.t.ppf(0.975, 2 * len(seeds) - 2) * error
    return np.mean(a) - np.mean(b), np.mean(a) - np.mean(b) - half, np.mean(a) - np.mean(b) + half
