from scipy import stats


def accuracy(predictions, targets):
    right = sum(a == b for a, b in zip(predictions, targets, strict=True))
    ends = stats.binomtest(right, len(targets)).proportion_ci(method="wilson")
    return right / len(targets), ends.low, ends.high
