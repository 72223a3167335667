# hint: []) ends in IndexError
import torch


def mask_chosen(scores, chosen):
    s = scores.clone()
    s[torch.tensor(chosen)] = -torch.inf
    return s.softmax(0)
