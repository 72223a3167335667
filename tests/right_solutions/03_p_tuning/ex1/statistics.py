import statistics


def template_spread(right):
    accuracies = [float(row.mean()) for row in right]
    return statistics.stdev(accuracies), max(accuracies) - min(accuracies)
