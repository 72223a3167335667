import random


def next_pairs(text, seed):
    draw = random.Random(seed)
    made = []
    for name, rows in text.items():
        others = [sentence for key in text if key != name for _, sentence in text[key]]
        by_place = dict(rows)
        for place, first in rows:
            if place + 1 in by_place:
                made.append((first, by_place[place + 1], "next"))
                made.append((first, draw.choice(others), "other"))
    return made
