# hint: nothing comes back (None)
import torch


def score_batch(logits, mask, labels):
    logits[torch.arange(len(logits)), mask.sum(1) - 1].log_softmax(-1)[:, labels]
