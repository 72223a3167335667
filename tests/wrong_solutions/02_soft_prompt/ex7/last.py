# hint: `new` says where they are


def leak(logits, new):
    return logits.logsumexp(1) - logits[:, : -len(new)].logsumexp(1)
