# hint: the result has shape (4
import torch


def score_batch(logits, mask, labels):
    x = logits[torch.arange(len(logits)), mask.sum(1) - 1].log_softmax(-1)
    return torch.stack([x[:, labels[0]], x[:, labels[-1]]], 1)
