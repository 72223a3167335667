# hint: the source with the highest accuracy is picked
import numpy as np


def retrieved_gain(values, alike, fair):
    gains = []
    for column, rows in enumerate(fair.T):
        if rows.sum() >= 2:
            own = values[rows, column]
            gains.append(own.max() - own.mean())
    return np.mean(gains)
