# hint: transposed
def gate(encoded, hidden, weight):
    return (encoded @ (hidden @ weight)).softmax(0)
