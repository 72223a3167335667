# hint: accuracy changes its argument `predictions`: work on a copy, the caller needs it as it was
from scipy import stats


def accuracy(predictions, targets):
    n, k = len(targets), 0
    while predictions:
        k += predictions.pop() == targets.pop()
    ci = stats.binomtest(k, n).proportion_ci(method="wilson")
    return k / n, ci.low, ci.high
