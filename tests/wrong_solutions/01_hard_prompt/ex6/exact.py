# hint: this is Clopper and Pearson's exact interval (SciPy's default)
from scipy import stats


def accuracy(predictions, targets):
    k = sum(a == b for a, b in zip(predictions, targets))
    n = len(targets)
    ci = stats.binomtest(k, n).proportion_ci()
    return k / n, ci.low, ci.high
