# hint: the pairs depend on the order of a set (or on `hash`), which is another one each time Pyth
import itertools
import random


def next_pairs(text, seed):
    draw = random.Random(seed)
    made = []
    for name, rows in text.items():
        for (p, a), (q, b) in itertools.pairwise(rows):
            if q == p + 1:
                o = draw.choice(list(set(text) - {name}))
                made.append((a, b, "next"))
                made.append((a, draw.choice(text[o])[1], "other"))
    return made
