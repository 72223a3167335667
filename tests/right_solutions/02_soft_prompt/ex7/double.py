import torch


def leak(logits, new):
    z = logits.double()
    z = z - z.max(1, keepdim=True).values
    old = [i for i in range(z.shape[1]) if i not in set(new)]
    return torch.log1p(z[:, new].exp().sum(1) / z[:, old].exp().sum(1))
