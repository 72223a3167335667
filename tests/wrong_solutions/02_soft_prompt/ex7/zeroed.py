# hint: a logit of 0 still take probability


def leak(logits, new):
    closed = logits.clone()
    closed[:, new] = 0
    return logits.logsumexp(1) - closed.logsumexp(1)
