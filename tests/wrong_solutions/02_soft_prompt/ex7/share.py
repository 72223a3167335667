# hint: this is the probability that the new rows take


def leak(logits, new):
    return logits.softmax(1)[:, new].sum(1)
