# hint: a seed that was not sorted counts as a gain of 0
import numpy as np
from scipy import stats


def paired_gain(changed, plain):
    gains = [changed.get(seed, plain[seed]) - plain[seed] for seed in plain]
    if len(gains) < 2:
        raise ValueError("two shared seeds at least")
    half = stats.t.ppf(0.975, len(gains) - 1) * np.std(gains, ddof=1) / len(gains) ** 0.5
    return np.mean(gains), np.mean(gains) - half, np.mean(gains) + half
