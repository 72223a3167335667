# hint: deviation of single answers
import numpy as np


def template_spread(right):
    accuracies = right.mean(axis=1)
    return float(np.std(right)), float(np.ptp(accuracies))
