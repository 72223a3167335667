# hint: divide by M − 1
def template_spread(right):
    accuracies = right.mean(axis=1)
    return float(accuracies.std()), float(accuracies.max() - accuracies.min())
