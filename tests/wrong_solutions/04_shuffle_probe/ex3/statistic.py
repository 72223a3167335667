# hint: n_a and n_b count the sentences that only one order gets right
import numpy as np


def mcnemar(a, b):
    a, b = np.asarray(a, bool), np.asarray(b, bool)
    return min(int((a & ~b).sum()), int((b & ~a).sum()))
