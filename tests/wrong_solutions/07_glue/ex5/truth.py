# hint: a score of 0 counts as missing
import numpy as np
from scipy import stats


def paired_gain(changed, plain):
    gains = [x - plain[seed] for seed, x in changed.items() if x and plain.get(seed)]
    if len(gains) < 2:
        raise ValueError("no interval")
    half = stats.t.ppf(0.975, len(gains) - 1) * np.std(gains, ddof=1) / len(gains) ** 0.5
    return np.mean(gains), np.mean(gains) - half, np.mean(gains) + half
