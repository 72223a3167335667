# hint: not its lead over the next probability
def surest(scores, k):
    p = scores.softmax(-1)
    two = p.topk(2, -1).values
    sure, labels = two[:, 0] - two[:, 1], p.argmax(-1)
    kept = []
    for label in range(scores.shape[1]):
        own = (labels == label).nonzero()[:, 0]
        best = own[sure[own].argsort(descending=True)][:k]
        kept += [(row, label) for row in best.tolist()]
    return kept
