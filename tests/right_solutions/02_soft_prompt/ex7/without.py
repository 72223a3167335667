import torch


def leak(logits, new):
    old = torch.ones(logits.shape[1], dtype=torch.bool)
    old[new] = False
    return logits.logsumexp(1) - logits[:, old].logsumexp(1)
