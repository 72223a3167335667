# hint: a float comes back
def accuracy(predictions, targets):
    return sum(a == b for a, b in zip(predictions, targets)) / len(targets)
