# hint: as many of each
import itertools
import random


def next_pairs(text, seed):
    draw = random.Random(seed)
    made = []
    for name, rows in text.items():
        others = [sentence for key in text if key != name for _, sentence in text[key]]
        for (i, first), (j, second) in itertools.pairwise(rows):
            if j == i + 1:
                made.append((first, second, "next"))
        for _, first in rows:
            made.append((first, draw.choice(others), "other"))
    return made
