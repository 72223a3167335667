import numpy as np


def same_kind_gain(values, level, same_kind, fair):
    kin = np.ma.array(values, mask=~(fair & same_kind))
    return float((kin.mean(0) - level).mean())
