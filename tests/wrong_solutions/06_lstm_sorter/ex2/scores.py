# hint: these are scores
def gate(encoded, hidden, weight):
    return encoded @ (weight @ hidden)
