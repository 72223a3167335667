# hint: one position behind the text
import torch


def score_batch(logits, mask, labels):
    last = mask.sum(1).clamp(max=mask.shape[1] - 1)
    return logits[torch.arange(len(logits)), last].log_softmax(-1)[:, labels]
