# hint: 5) ends in RuntimeError
import torch


def sinusoids(length, width):
    a = torch.arange(length)[:, None] / 10_000 ** (torch.arange(width) / width)
    return torch.stack([a[:, 0::2].sin(), a[:, 1::2].cos()], -1).reshape(length, width)
