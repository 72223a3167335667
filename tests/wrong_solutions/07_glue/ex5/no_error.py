# hint: fewer than two shared seeds have no interval
import numpy as np
from scipy import stats


def paired_gain(changed, plain):
    gains = [changed[seed] - plain[seed] for seed in changed if seed in plain]
    if len(gains) < 2:
        return 0.0, float("nan"), float("nan")
    half = stats.t.ppf(0.975, len(gains) - 1) * np.std(gains, ddof=1) / len(gains) ** 0.5
    return np.mean(gains), np.mean(gains) - half, np.mean(gains) + half
