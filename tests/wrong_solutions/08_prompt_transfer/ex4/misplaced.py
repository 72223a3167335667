# hint: the place of the most alike among the fair sources
import numpy as np


def retrieved_gain(values, alike, fair):
    gains = []
    for column, rows in enumerate(fair.T):
        if rows.sum() >= 2:
            own = values[rows, column]
            gains.append(values[alike[rows, column].argmax(), column] - own.mean())
    return np.mean(gains)
