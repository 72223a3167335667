# hint: a chosen token gets the lowest score, which is a score like any other: −∞
def mask_chosen(scores, chosen):
    s = scores.clone()
    s[chosen] = scores.min()
    return s.softmax(0)
