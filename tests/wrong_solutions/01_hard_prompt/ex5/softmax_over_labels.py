# hint: over the label columns alone
import torch


def score_batch(logits, mask, labels):
    return logits[torch.arange(len(logits)), mask.sum(1) - 1][:, labels].log_softmax(-1)
