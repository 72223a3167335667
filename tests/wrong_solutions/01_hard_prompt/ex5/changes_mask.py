# hint: score_batch changes its argument `mask`: work on a copy, the caller needs it as it was
import torch


def score_batch(logits, mask, labels):
    mask -= 0
    mask[:, 0] = 0
    return logits[torch.arange(len(logits)), mask.sum(1)].log_softmax(-1)[:, labels]
