# hint: exactly once
import random


def split(sentences, labels, share, seed):
    rows = sorted(set(zip(sentences, labels, strict=True)))
    random.Random(seed).shuffle(rows)
    cut = round(share * len(rows))
    return rows[cut:], rows[:cut]
