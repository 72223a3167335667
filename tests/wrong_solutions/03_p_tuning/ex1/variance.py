# hint: this is the variance
def template_spread(right):
    accuracies = right.mean(axis=1)
    return float(accuracies.var(ddof=1)), float(accuracies.max() - accuracies.min())
