# hint: work on a copy
import math


def mask_chosen(scores, chosen):
    scores[chosen] = -math.inf
    return scores.softmax(0)
