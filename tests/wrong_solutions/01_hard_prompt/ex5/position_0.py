# hint: read at position 0
def score_batch(logits, mask, labels):
    return logits[:, 0].log_softmax(dim=-1)[:, labels]
