# hint: still has probability
def mask_chosen(scores, chosen):
    return scores.softmax(0)
