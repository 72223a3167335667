def read(scores, low, high):
    return low + (high - low) * (scores[:, 1] - scores[:, 0]).sigmoid()
