# hint: everything is 0.5 times what is expected
def read(scores, low, high):
    p = scores.softmax(-1)
    return (low * p[:, 0] + high * p[:, 1]) / 2
