# hint: the best source of each target
import numpy as np


def same_kind_gain(values, level, same_kind, fair):
    kin = fair & same_kind
    return np.mean([(values[r, i] - level[i]).max() for i, r in enumerate(kin.T) if r.any()])
