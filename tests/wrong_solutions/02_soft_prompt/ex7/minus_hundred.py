# hint: a score of −100 takes
def leak(logits, new):
    closed = logits.clone()
    closed[:, new] = -100.0
    return logits.logsumexp(1) - closed.logsumexp(1)
