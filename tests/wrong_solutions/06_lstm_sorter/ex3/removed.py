# hint: the chosen tokens are gone from the result: they stay, with probability 0
def mask_chosen(scores, chosen):
    keep = [i for i in range(len(scores)) if i not in chosen]
    return scores[keep].softmax(0)
