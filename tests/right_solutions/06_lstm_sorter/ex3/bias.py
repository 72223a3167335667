import math

import torch


def mask_chosen(scores, chosen):
    b = torch.zeros(len(scores))
    b[list(chosen)] = -math.inf
    return torch.softmax(scores + b, 0)
