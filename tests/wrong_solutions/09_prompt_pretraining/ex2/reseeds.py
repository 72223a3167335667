# hint: draw anew for each pair
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
                made.append((a, random.Random(seed).choice(other), "other"))
    return made
