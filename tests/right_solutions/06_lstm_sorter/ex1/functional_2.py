import torch
from torch.nn import functional as F


def lstm_step(x, h, m, w_x, w_h, bias):
    g = F.linear(x, w_x, bias) + F.linear(h, w_h)
    i, f, c, o = g.view(4, len(h))
    n = torch.addcmul(f.sigmoid() * m, i.sigmoid(), c.tanh())
    return o.sigmoid() * n.tanh(), n
