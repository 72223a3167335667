# hint: the smaller part comes second
import random


def split(sentences, labels, share, seed):
    distinct = sorted(set(sentences))
    random.Random(seed).shuffle(distinct)
    held_out = set(distinct[: round(share * len(distinct))])
    rows = list(zip(sentences, labels, strict=True))
    test = [row for row in rows if row[0] in held_out]
    return test, [row for row in rows if row[0] not in held_out]
