import numpy as np


def retrieved_gain(values, alike, fair):
    some = fair.sum(0) > 1
    best = np.where(fair, alike, -np.inf).argmax(0)
    picked = np.take_along_axis(values, best[None], 0)[0]
    blindly = np.where(fair, values, 0).sum(0)[some] / fair.sum(0)[some]
    return float((picked[some] - blindly).mean())
