# hint: sum to
def gate(encoded, hidden, weight):
    return (encoded @ (weight @ hidden)).sigmoid()
