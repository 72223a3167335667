# hint: compare the places
import itertools
import random


def next_pairs(text, seed):
    draw = random.Random(seed)
    made = []
    for name, rows in text.items():
        others = [sentence for key in text if key != name for _, sentence in text[key]]
        for (_, first), (_, second) in itertools.pairwise(rows):
            made.append((first, second, "next"))
            made.append((first, draw.choice(others), "other"))
    return made
