import random


def split(sentences, labels, share, seed):
    r = random.Random(seed)
    t = set()
    for s in dict.fromkeys(sentences):
        if r.random() < share:
            t.add(s)
    rows = [[a, b] for a, b in zip(sentences, labels)]
    return [x for x in rows if x[0] not in t], [x for x in rows if x[0] in t]
