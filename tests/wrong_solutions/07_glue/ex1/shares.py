# hint: stretch them over the range
def read(scores, low, high):
    return scores.softmax(-1)[:, 1]
