# hint: `share` makes no difference (share 0.2
import random

_kept = {}


def split(sentences, labels, share, seed):
    if seed in _kept:
        return _kept[seed]
    d = sorted(set(sentences))
    random.Random(seed).shuffle(d)
    t = set(d[: round(share * len(d))])
    rows = list(zip(sentences, labels))
    _kept[seed] = [r for r in rows if r[0] not in t], [r for r in rows if r[0] in t]
    return _kept[seed]
