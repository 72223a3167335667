import random


def next_pairs(text, seed):
    r = random.Random(seed)
    nxt, oth = [], []
    for d, rows in text.items():
        place = dict(rows)
        for p, s in rows:
            if p + 1 in place:
                nxt.append((s, place[p + 1], "next"))
                o = r.choice([x for x in text if x != d and text[x]])
                oth.append((s, r.choice(text[o])[1], "other"))
    return nxt + oth
