# hint: these are points
import numpy as np


def retrieved_gain(values, alike, fair):
    gains = []
    for column, rows in enumerate(fair.T):
        if rows.sum() >= 2:
            own = values[rows, column]
            gains.append(own[alike[rows, column].argmax()] - own.mean())
    return 100 * np.mean(gains)
