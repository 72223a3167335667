import random


def next_pairs(text, seed):
    r = random.Random(seed)
    out = []
    for d in sorted(text):
        for (p, s), (q, t) in zip(text[d], text[d][1:]):
            if q != p + 1:
                continue
            pool = sorted(x for e in text if e != d for _, x in text[e])
            out.extend([(s, t, "next"), (s, pool[int(r.random() * len(pool))], "other")])
    r.shuffle(out)
    return tuple(out)
