# hint: what is behind the point was cut off
def read(scores, low, high):
    return (low + (high - low) * scores.softmax(-1)[:, 1]).int()
