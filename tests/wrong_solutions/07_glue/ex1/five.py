# hint: `low`, `high` makes no difference to the result
def read(scores, low, high):
    return 5 * scores.softmax(-1)[:, 1]
