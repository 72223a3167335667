# hint: equally sure one is lost
def surest(scores, k):
    sure, labels = scores.softmax(-1).max(-1)
    kept = []
    for label in range(scores.shape[1]):
        rows = {float(sure[row]): row for row in range(len(sure)) if labels[row] == label}
        kept += [(rows[p], label) for p in sorted(rows, reverse=True)[:k]]
    return kept
