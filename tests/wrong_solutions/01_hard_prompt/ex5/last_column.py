# hint: which is padding in the shorter rows
def score_batch(logits, mask, labels):
    return logits[:, -1].log_softmax(dim=-1)[:, labels]
