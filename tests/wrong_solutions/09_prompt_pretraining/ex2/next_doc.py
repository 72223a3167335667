# hint: the sentences from elsewhere all come from one other document: draw from all others
import itertools
import random


def next_pairs(text, seed):
    draw = random.Random(seed)
    made = []
    names = list(text)
    for n, (name, rows) in enumerate(text.items()):
        o = text[names[(n + 1) % len(names)]]
        for (p, a), (q, b) in itertools.pairwise(rows):
            if q == p + 1:
                made.append((a, b, "next"))
                made.append((a, draw.choice(o)[1], "other"))
    return made
