# hint: scores are paired by their order in the dictionaries
import numpy as np
from scipy import stats


def paired_gain(changed, plain):
    gains = [a - b for a, b in zip(changed.values(), plain.values())]
    if len(gains) < 2:
        raise ValueError("two shared seeds at least")
    half = stats.t.ppf(0.975, len(gains) - 1) * np.std(gains, ddof=1) / len(gains) ** 0.5
    return np.mean(gains), np.mean(gains) - half, np.mean(gains) + half
