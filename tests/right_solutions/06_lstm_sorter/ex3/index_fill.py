import torch


def mask_chosen(scores, chosen):
    taken = torch.zeros(len(scores), dtype=torch.bool)
    taken[chosen] = True
    return scores.masked_fill(taken, float("-inf")).softmax(-1)
