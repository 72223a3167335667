# hint: a score of −10 takes
def leak(logits, new):
    closed = logits.clone()
    closed[:, new] = -10.0
    return logits.logsumexp(1) - closed.logsumexp(1)
