# hint: interpolate, do not choose
def read(scores, low, high):
    return low + (high - low) * scores.argmax(-1).float()
