# hint: sources of other kinds count as well
import numpy as np


def same_kind_gain(values, level, same_kind, fair):
    gains = values - level
    return np.mean([gains[rows, i].mean() for i, rows in enumerate(fair.T) if rows.any()])
