# hint: where no neuron is active the overlap is 0, not nan, a division by zero
def overlap(a, b):
    return ((a & b).sum() / (a.sum() * b.sum()).sqrt()).item()
