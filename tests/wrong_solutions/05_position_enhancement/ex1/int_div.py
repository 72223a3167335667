# hint: the exponent is 0 in every column: it is column/width, not cut
import torch


def sinusoids(length, width):
    a = torch.arange(length)[:, None] / 10_000 ** (torch.arange(width) // width)
    t = a.sin()
    t[:, 1::2] = a[:, 1::2].cos()
    return t
