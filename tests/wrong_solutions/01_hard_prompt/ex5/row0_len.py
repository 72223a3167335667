# hint: all rows were read where the first one ends: each has its own last position
def score_batch(logits, mask, labels):
    t = mask.sum(1)[0] - 1
    return logits[:, t].log_softmax(-1)[:, labels]
