# hint: above the old ones'
import torch


def leak(logits, new):
    closed = logits.clone()
    closed[:, new] = -torch.inf
    return logits[:, new].logsumexp(1) - closed.logsumexp(1)
