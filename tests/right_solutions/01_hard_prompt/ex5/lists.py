def score_batch(logits, mask, labels):
    return [
        [float(r[int(m.sum()) - 1].log_softmax(0)[l]) for l in labels] for r, m in zip(logits, mask)
    ]
