from collections import Counter


def surest(scores, k):
    sure = scores.softmax(-1)
    left = Counter({label: k for label in range(scores.shape[1])})
    kept = []
    for row in sure.max(-1).values.argsort(descending=True):
        label = sure[row].argmax().item()
        if left[label] > 0:
            left[label] -= 1
            kept.append((row, label))
    return kept
