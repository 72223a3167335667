# hint: split changes its argument `sentences`: work on a copy, the caller needs it as it was
import random


def split(sentences, labels, share, seed):
    sentences.sort()
    d = sorted(set(sentences))
    random.Random(seed).shuffle(d)
    t = set(d[: round(share * len(d))])
    rows = list(zip(sentences, labels))
    return [r for r in rows if r[0] not in t], [r for r in rows if r[0] in t]
