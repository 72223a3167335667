# hint: the split depends on the order of a set (or on `hash`), which is another one each time Pyt
def split(sentences, labels, share, seed):
    t = {s for s in sentences if hash((s, seed)) % 1000 < 1000 * share}
    rows = list(zip(sentences, labels))
    return [r for r in rows if r[0] not in t], [r for r in rows if r[0] in t]
