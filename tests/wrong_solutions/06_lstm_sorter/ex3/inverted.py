# hint: it is turned round: the tokens that are *not* chosen yet share the probability
import torch


def mask_chosen(scores, chosen):
    m = torch.zeros(len(scores)).bool()
    m[chosen] = True
    return scores.masked_fill(~m, -torch.inf).softmax(0)
