# hint: the best accuracy minus the worst
def template_spread(right):
    accuracies = right.mean(axis=1)
    return float(accuracies.std(ddof=1)), float(accuracies.max() - accuracies.mean())
