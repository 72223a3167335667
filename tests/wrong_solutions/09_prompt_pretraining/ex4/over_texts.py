# hint: sureness was read off a softmax over the texts
def surest(scores, k):
    sure, labels = scores.softmax(0).max(-1).values, scores.argmax(-1)
    kept = []
    for label in range(scores.shape[1]):
        own = (labels == label).nonzero()[:, 0]
        best = own[sure[own].argsort(descending=True)][:k]
        kept += [(row, label) for row in best.tolist()]
    return kept
