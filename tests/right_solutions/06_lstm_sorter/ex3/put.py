import torch


def mask_chosen(scores, chosen):
    keep = [i for i in range(len(scores)) if i not in chosen]
    out = torch.zeros(len(scores))
    out[keep] = scores[keep].softmax(0)
    return out
