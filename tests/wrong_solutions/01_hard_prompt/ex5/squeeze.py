# hint: the result has shape (2,)
import torch


def score_batch(logits, mask, labels):
    x = logits[torch.arange(len(logits)), mask.sum(1) - 1].log_softmax(-1)
    return x[:, labels].squeeze()
