# hint: the same first sentences should stand in both classes: else the first one alone tells
import itertools
import random


def next_pairs(text, seed):
    draw = random.Random(seed)
    made = []
    for name, rows in text.items():
        other = [s for k in text if k != name for _, s in text[k]]
        for (p, a), (q, b) in itertools.pairwise(rows):
            if q == p + 1:
                made.append((a, b, "next"))
                made.append((b, draw.choice(other), "other"))
    return made
