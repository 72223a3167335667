import numpy as np


def split(sentences, labels, share, seed):
    distinct = np.unique(sentences)
    order = np.random.default_rng(seed).permutation(len(distinct))
    held_out = {str(distinct[i]) for i in order[: round(share * len(distinct))]}
    rows = list(zip(sentences, labels, strict=True))
    return [r for r in rows if r[0] not in held_out], [r for r in rows if r[0] in held_out]
