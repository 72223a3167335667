# hint: only the first of the new rows
import torch


def leak(logits, new):
    closed = logits.clone()
    closed[:, new[0]] = -torch.inf
    return logits.logsumexp(1) - closed.logsumexp(1)
