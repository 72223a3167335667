# hint: an accuracy of 0 is left out
import numpy as np


def same_kind_gain(values, level, same_kind, fair):
    table = np.where(fair & same_kind, values, 0.0)
    gains = [col[col != 0].mean() - at for col, at in zip(table.T, level) if col.any()]
    return float(np.mean(gains))
