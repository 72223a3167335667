# hint: selected index k out of range
def surest(scores, k):
    p = scores.softmax(-1)
    sure, labels = p.max(-1)
    kept = []
    for label in range(scores.shape[1]):
        own = (labels == label).nonzero()[:, 0]
        best = own[sure[own].topk(k).indices]
        kept += [(row, label) for row in best.tolist()]
    return kept
