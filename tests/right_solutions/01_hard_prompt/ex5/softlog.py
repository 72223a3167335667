def score_batch(logits, mask, labels):
    i = mask.sum(1).sub(1).view(-1, 1, 1).expand(-1, 1, logits.shape[-1])
    return logits.gather(1, i).squeeze(1).softmax(-1).log()[:, labels]
