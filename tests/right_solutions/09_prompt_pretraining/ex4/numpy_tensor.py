import numpy as np


def surest(scores, k):
    s = scores.double().numpy()
    lead = s - s.max(1, keepdims=True)
    sure, labels = 1 / np.exp(lead).sum(1), s.argmax(1)
    order = np.lexsort((-sure, labels))
    kept = [
        (i, labels[i]) for n, i in enumerate(order) if np.sum(labels[order[:n]] == labels[i]) < k
    ]
    return np.array(kept)
