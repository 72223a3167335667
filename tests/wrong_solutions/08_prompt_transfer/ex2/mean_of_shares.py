# hint: these are shares target by target, averaged
import numpy as np


def share_kept(values, own, controls, fair):
    shares = []
    for i, level in enumerate(controls.max(0)):
        if own[i] > level and fair[:, i].any():
            shares.append((values[fair[:, i], i].mean() - level) / (own[i] - level))
    return np.mean(shares)
