# hint: gate changes its argument `encoded`: work on a copy, the caller needs it as it was
def gate(encoded, hidden, weight):
    encoded *= weight @ hidden
    return encoded.sum(1).softmax(0)
