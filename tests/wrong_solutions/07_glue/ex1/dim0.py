# hint: the softmax runs over the examples: it compares the two poles of each
def read(scores, low, high):
    return low + (high - low) * scores.softmax(0)[:, 1]
