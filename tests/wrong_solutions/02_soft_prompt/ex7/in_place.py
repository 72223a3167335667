# hint: changes its argument `logits`
import torch


def leak(logits, new):
    before = logits.logsumexp(1)
    logits[:, new] = -torch.inf
    return before - logits.logsumexp(1)
