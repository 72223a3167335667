def gate(encoded, hidden, weight):
    return (encoded @ (weight @ hidden)).softmax(-1)
