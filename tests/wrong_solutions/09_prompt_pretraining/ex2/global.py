# hint: next_pairs reseeds the global generator (random.seed): whatever the notebook draws afterwa
import itertools
import random


def next_pairs(text, seed):
    random.seed(seed)
    made = []
    for name, rows in text.items():
        other = [s for k in text if k != name for _, s in text[k]]
        for (p, a), (q, b) in itertools.pairwise(rows):
            if q == p + 1:
                made.append((a, b, "next"))
                made.append((a, random.choice(other), "other"))
    return made
