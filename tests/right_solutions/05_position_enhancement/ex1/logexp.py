import math

import torch


def sinusoids(length, width):
    c = torch.arange(width)
    f = torch.exp(-math.log(10000.0) * c / width)
    a = torch.outer(torch.arange(length).float(), f)
    return torch.where(c % 2 == 1, torch.cos(a), torch.sin(a))
