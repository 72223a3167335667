# hint: the sign is turned
import torch


def leak(logits, new):
    closed = logits.clone()
    closed[:, new] = -torch.inf
    return closed.logsumexp(1) - logits.logsumexp(1)
