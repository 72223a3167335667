# hint: over another axis
import torch


def score_batch(logits, mask, labels):
    return logits[torch.arange(len(logits)), mask.sum(1) - 1].log_softmax(0)[:, labels]
