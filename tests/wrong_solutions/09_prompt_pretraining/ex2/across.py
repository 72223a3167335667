# hint: across a document's end
import itertools
import random


def next_pairs(text, seed):
    draw = random.Random(seed)
    rows = [(name, place, sentence) for name in text for place, sentence in text[name]]
    made = []
    for (n, i, first), (_, j, second) in itertools.pairwise(rows):
        others = [sentence for key in text if key != n for _, sentence in text[key]]
        if j == i + 1 or j == 1 or j == 2:
            made.append((first, second, "next"))
            made.append((first, draw.choice(others), "other"))
    return made
