# hint: 5]) ends in IndexError
import torch


def score_batch(logits, mask, labels):
    return logits[torch.arange(3), mask.sum(1) - 1].log_softmax(-1)[:, labels]
