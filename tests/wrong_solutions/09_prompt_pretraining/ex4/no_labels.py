# hint: an int comes back, expected two values
def surest(scores, k):
    p = scores.softmax(-1)
    sure, labels = p.max(-1)
    kept = []
    for label in range(scores.shape[1]):
        own = (labels == label).nonzero()[:, 0]
        best = own[sure[own].argsort(descending=True)][:k]
        kept += best.tolist()
    return kept
