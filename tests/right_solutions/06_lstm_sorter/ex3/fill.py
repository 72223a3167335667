import torch


def mask_chosen(scores, chosen):
    hide = torch.zeros_like(scores, dtype=torch.bool)
    for i in chosen:
        hide[i] = True
    return scores.masked_fill(hide, float("-inf")).softmax(-1)
