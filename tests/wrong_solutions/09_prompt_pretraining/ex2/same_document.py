# hint: takes the second from another one
import itertools
import random


def next_pairs(text, seed):
    draw = random.Random(seed)
    made = []
    for rows in text.values():
        for (i, first), (j, second) in itertools.pairwise(rows):
            if j == i + 1:
                made.append((first, second, "next"))
                made.append((first, draw.choice(rows)[1], "other"))
    return made
