# hint: nothing comes back (None)
def read(scores, low, high):
    low + (high - low) * scores.softmax(-1)[:, 1]
