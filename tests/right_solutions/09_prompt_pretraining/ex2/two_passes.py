import itertools

import numpy as np


def next_pairs(text, seed):
    draw = np.random.default_rng(seed)
    found = [
        (name, a, b)
        for name, rows in text.items()
        for (i, a), (j, b) in itertools.pairwise(rows)
        if j - i == 1
    ]
    near = [(a, b, "next") for _, a, b in found]
    far = []
    for name, a, _ in found:
        document = draw.choice([key for key in text if key != name])
        far.append((a, text[document][draw.integers(len(text[document]))][1], "other"))
    return near + far
