# hint: should be −∞
def mask_chosen(scores, chosen):
    masked = scores.clone()
    masked[chosen] = 0.0
    return masked.softmax(0)
