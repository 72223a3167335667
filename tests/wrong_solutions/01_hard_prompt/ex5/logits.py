# hint: these are logits
import torch


def score_batch(logits, mask, labels):
    return logits[torch.arange(len(logits)), mask.sum(1) - 1][:, labels]
