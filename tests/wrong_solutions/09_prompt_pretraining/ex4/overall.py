# hint: the k surest of all texts were kept
def surest(scores, k):
    sure, labels = scores.softmax(-1).max(-1)
    return [(row, labels[row].item()) for row in sure.argsort(descending=True)[:k].tolist()]
