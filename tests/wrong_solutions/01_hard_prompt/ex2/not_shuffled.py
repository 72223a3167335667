# hint: another seed should give another split
def split(sentences, labels, share, seed):
    distinct = sorted(set(sentences))
    held_out = set(distinct[: round(share * len(distinct))])
    rows = list(zip(sentences, labels, strict=True))
    train = [row for row in rows if row[0] not in held_out]
    return train, [row for row in rows if row[0] in held_out]
