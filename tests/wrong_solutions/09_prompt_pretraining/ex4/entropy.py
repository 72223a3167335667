# hint: not the entropy of all of them
def surest(scores, k):
    p = scores.softmax(-1)
    sure, labels = (p * p.log()).sum(-1), p.argmax(-1)
    kept = []
    for label in range(scores.shape[1]):
        own = (labels == label).nonzero()[:, 0]
        best = own[sure[own].argsort(descending=True)][:k]
        kept += [(row, label) for row in best.tolist()]
    return kept
