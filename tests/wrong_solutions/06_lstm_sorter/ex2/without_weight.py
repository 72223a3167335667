# hint: the weight is not used
def gate(encoded, hidden, weight):
    return (encoded @ hidden).softmax(0)
