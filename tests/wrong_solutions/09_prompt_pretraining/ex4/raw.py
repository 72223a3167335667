# hint: sureness was read off the scores themselves
def surest(scores, k):
    p = scores
    sure, labels = p.max(-1)
    kept = []
    for label in range(scores.shape[1]):
        own = (labels == label).nonzero()[:, 0]
        best = own[sure[own].argsort(descending=True)][:k]
        kept += [(row, label) for row in best.tolist()]
    return kept
