# hint: rows and columns are exchanged
import numpy as np


def retrieved_gain(values, alike, fair):
    gains = []
    for column, rows in enumerate(fair):
        if rows.sum() >= 2:
            own = values[column, rows]
            gains.append(own[alike[column, rows].argmax()] - own.mean())
    return np.mean(gains)
