import numpy as np


def accuracy(predictions, targets):
    correct = np.equal(predictions, targets)
    p, n, z = correct.mean(), correct.size, 1.959964
    # the rates whose distance from p is z standard errors: a quadratic equation
    ends = np.roots([1 + z**2 / n, -(2 * p + z**2 / n), p**2]).real
    return p, ends.min(), ends.max()
