# hint: the first was taken twice
def surest(scores, k):
    sure, labels = scores.softmax(-1).max(-1)
    sure, kept = sure.tolist(), []
    for label in range(scores.shape[1]):
        own = sorted((p for p, given in zip(sure, labels) if given == label), reverse=True)
        kept += [(sure.index(p), label) for p in own[:k]]
    return kept
