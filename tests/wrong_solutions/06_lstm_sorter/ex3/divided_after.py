# hint: takes all the probability, zero is divided by zero
def mask_chosen(scores, chosen):
    probabilities = scores.softmax(0)
    probabilities[chosen] = 0.0
    return probabilities / probabilities.sum()
