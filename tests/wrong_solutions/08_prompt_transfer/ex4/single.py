# hint: a target with a single fair source counts
import numpy as np


def retrieved_gain(values, alike, fair):
    gains = []
    for column, rows in enumerate(fair.T):
        if rows.sum() >= 1:
            own = values[rows, column]
            gains.append(own[alike[rows, column].argmax()] - own.mean())
    return np.mean(gains)
