# hint: this is in bits
import torch


def leak(logits, new):
    closed = logits.clone()
    closed[:, new] = -torch.inf
    return (logits.logsumexp(1) - closed.logsumexp(1)) / torch.log(torch.tensor(2.0))
