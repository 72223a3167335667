import random


def next_pairs(text, seed):
    made = []
    for name, rows in text.items():
        sentence_at = dict(rows)
        for place, first in rows:
            if place + 1 not in sentence_at:
                continue
            others = sorted(s for key in text if key != name for _, s in text[key])
            draw = random.Random(f"{seed} {name} {place}")  # a text seeds the same way each time
            made.append([first, draw.choice(others), "other"])
            made.insert(0, [first, sentence_at[place + 1], "next"])
    return tuple(made)
