import math


def template_spread(right):
    accuracies = [sum(map(bool, row)) / len(row) for row in right]
    mean = sum(accuracies) / len(accuracies)
    variance = sum((a - mean) ** 2 for a in accuracies) / (len(accuracies) - 1)
    return math.sqrt(variance), max(accuracies) - min(accuracies)
