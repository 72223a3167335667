import hashlib


def split(sentences, labels, share, seed):
    key = lambda s: hashlib.sha256(f"{seed}/{s}".encode()).digest()
    d = sorted(set(sentences), key=key)
    t = set(d[: round(share * len(d))])
    rows = list(zip(sentences, labels))
    return [r for r in rows if r[0] not in t], [r for r in rows if r[0] in t]
