import math

import torch


def mask_chosen(scores, chosen):
    s = scores.double().tolist()
    top = max(v for i, v in enumerate(s) if i not in chosen)
    e = [0.0 if i in chosen else math.exp(v - top) for i, v in enumerate(s)]
    return torch.tensor([v / sum(e) for v in e])
