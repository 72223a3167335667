# hint: the number of the best token comes back: equation 10 gives the probabilities
def gate(encoded, hidden, weight):
    return (encoded @ (weight @ hidden)).argmax().item()
