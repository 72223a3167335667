# hint: e to the power of the scores is not divided by its sum: softmax
def gate(encoded, hidden, weight):
    s = encoded @ (weight @ hidden)
    return s.exp()
