import random


def split(sentences, labels, share, seed):
    kept = random.getstate()
    random.seed(seed)
    d = sorted(set(sentences))
    random.shuffle(d)
    random.setstate(kept)
    t = set(d[: round(share * len(d))])
    rows = list(zip(sentences, labels))
    return [r for r in rows if r[0] not in t], [r for r in rows if r[0] in t]
