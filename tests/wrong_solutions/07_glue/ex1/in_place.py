# hint: two_poles changes its argument `scores`: work on a copy, the caller needs it as it was
def read(scores, low, high):
    scores -= scores.max()
    p = scores.exp()
    return low + (high - low) * p[:, 1] / p.sum(1)
