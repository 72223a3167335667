# hint: the result has shape ()
def read(scores, low, high):
    return [low + (high - low) * float(r.softmax(-1)[1]) for r in scores][0]
