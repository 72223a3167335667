import math


def mask_chosen(scores, chosen):
    masked = scores.clone()
    masked[chosen] = -math.inf
    return masked.softmax(0)
