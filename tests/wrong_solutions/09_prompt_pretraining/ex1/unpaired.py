# hint: as if they had other sentences
import numpy as np


def few_shot_gain(better, worse):
    mean, squares = np.mean(better) - np.mean(worse), 0.0
    for each in (np.asarray(better, dtype=float), np.asarray(worse, dtype=float)):
        squares += each.mean(1).var(ddof=1) / len(each)
        squares += each.mean(0).var(ddof=1) / each.shape[1]
    return mean, mean - 1.96 * squares**0.5, mean + 1.96 * squares**0.5
