# hint: does a slice from
import random


def split(sentences, labels, share, seed):
    distinct = sorted(set(sentences))
    random.Random(seed).shuffle(distinct)
    held_out = set(distinct[-int(share * len(distinct)) :])
    rows = list(zip(sentences, labels))
    return [r for r in rows if r[0] not in held_out], [r for r in rows if r[0] in held_out]
