import torch
from torch import nn


def lstm_step(x, h, m, w_x, w_h, bias):
    c = nn.LSTMCell(len(x), len(h))
    with torch.no_grad():
        c.weight_ih.copy_(w_x)
        c.weight_hh.copy_(w_h)
        c.bias_ih.copy_(bias)
        c.bias_hh.zero_()
    a, b = c(x[None], (h[None], m[None]))
    return a[0], b[0]
