# hint: does not begin at 0
def read(scores, low, high):
    return high * scores.softmax(-1)[:, 1]
