# hint: 1.96 is for many seeds
import numpy as np


def paired_gain(changed, plain):
    gains = [changed[seed] - plain[seed] for seed in changed if seed in plain]
    if len(gains) < 2:
        raise ValueError("two shared seeds at least")
    half = 1.96 * np.std(gains, ddof=1) / len(gains) ** 0.5
    return np.mean(gains), np.mean(gains) - half, np.mean(gains) + half
