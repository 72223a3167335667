# hint: a row is '536110 7', expected (sentence, label)
import random


def split(sentences, labels, share, seed):
    d = sorted(set(sentences))
    random.Random(seed).shuffle(d)
    t = set(d[: round(share * len(d))])
    return [s for s in sentences if s not in t], [s for s in sentences if s in t]
