# hint: a likeness of 0 stands where a source is not fair
import numpy as np


def retrieved_gain(values, alike, fair):
    gains = []
    for column, rows in enumerate(fair.T):
        if rows.sum() >= 2:
            own = values[rows, column]
            gains.append(values[(alike[:, column] * rows).argmax(), column] - own.mean())
    return np.mean(gains)
