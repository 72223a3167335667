# hint: the logarithm of the new rows


def leak(logits, new):
    return -logits.log_softmax(1)[:, new].logsumexp(1)
