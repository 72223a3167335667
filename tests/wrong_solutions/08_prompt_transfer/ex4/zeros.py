# hint: targets without a choice count as a gain of 0
import numpy as np


def retrieved_gain(values, alike, fair):
    gains = []
    for column, rows in enumerate(fair.T):
        if rows.sum() >= 2:
            own = values[rows, column]
            gains.append(own[alike[rows, column].argmax()] - own.mean())
    return np.sum(gains) / fair.shape[1]
