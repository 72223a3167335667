# hint: takes the largest out first


def leak(logits, new):
    old = [i for i in range(logits.shape[1]) if i not in new]
    return (logits.exp().sum(1) / logits[:, old].exp().sum(1)).log()
