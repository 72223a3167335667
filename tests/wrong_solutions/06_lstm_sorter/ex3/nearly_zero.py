# hint: nothing is left for the others
import torch


def mask_chosen(scores, chosen):
    free = torch.ones(len(scores))
    free[chosen] = 0.0
    probabilities = scores.softmax(0) * free
    return probabilities / (probabilities.sum() + 1e-12)
