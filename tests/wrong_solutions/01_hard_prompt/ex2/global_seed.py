# hint: split reseeds the global generator (random.seed): whatever the notebook draws afterwards i
import random


def split(sentences, labels, share, seed):
    random.seed(seed)
    d = sorted(set(sentences))
    random.shuffle(d)
    t = set(d[: round(share * len(d))])
    rows = list(zip(sentences, labels))
    return [r for r in rows if r[0] not in t], [r for r in rows if r[0] in t]
