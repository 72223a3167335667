import random


def split(sentences, labels, share, seed):
    distinct = sorted(set(sentences))
    test_size = int(share * len(distinct))
    held_out = set(random.Random(seed).sample(distinct, test_size))
    parts = [], []
    for row in zip(sentences, labels, strict=True):
        parts[row[0] in held_out].append(row)
    return parts
