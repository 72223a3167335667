# hint: pairs that are not fair count as well
import numpy as np


def same_kind_gain(values, level, same_kind, fair):
    gains = values - level
    return np.mean([gains[rows, i].mean() for i, rows in enumerate(same_kind.T)])
