# hint: only the last choice is left out: all tokens of `chosen` have none
import torch


def mask_chosen(scores, chosen):
    s = scores.clone()
    for i in chosen:
        s = scores.clone()
        s[i] = -torch.inf
    return s.softmax(0)
