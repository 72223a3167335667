# hint: the result has shape
import torch


def leak(logits, new):
    closed = logits.clone()
    closed[:, new] = -torch.inf
    return (logits.logsumexp(1) - closed.logsumexp(1)).mean()
