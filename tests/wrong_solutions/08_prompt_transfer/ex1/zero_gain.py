# hint: a target whose gain is 0 is left out
import numpy as np


def same_kind_gain(values, level, same_kind, fair):
    gains = np.zeros(len(level))
    for t, rows in enumerate((fair & same_kind).T):
        if rows.any():
            gains[t] = values[rows, t].mean() - level[t]
    return float(gains[gains != 0].mean())
