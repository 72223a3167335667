# hint: a dict comes back
from scipy import stats


def accuracy(predictions, targets):
    k = sum(a == b for a, b in zip(predictions, targets))
    n = len(targets)
    ci = stats.binomtest(k, n).proportion_ci(method="wilson")
    return {"value": k / n, "low": ci.low, "high": ci.high}
