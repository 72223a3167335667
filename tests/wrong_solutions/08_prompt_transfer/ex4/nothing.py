# hint: nothing is subtracted
import numpy as np


def retrieved_gain(values, alike, fair):
    gains = []
    for column, rows in enumerate(fair.T):
        if rows.sum() >= 2:
            own = values[rows, column]
            gains.append(own[alike[rows, column].argmax()])
    return np.mean(gains)
