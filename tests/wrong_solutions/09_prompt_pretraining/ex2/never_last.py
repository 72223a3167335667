# hint: never came up
import itertools
import random


def next_pairs(text, seed):
    draw, made = random.Random(seed), []
    for name, rows in text.items():
        elsewhere = [s for key in text if key != name for _, s in text[key]]
        for (place, first), (after, second) in itertools.pairwise(rows):
            if after == place + 1:
                other = elsewhere[int(draw.random() * (len(elsewhere) - 1))]
                made += [(first, second, "next"), (first, other, "other")]
    return made
