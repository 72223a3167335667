# hint: next_pairs reseeds the global generator (numpy.random.seed): whatever the notebook draws a
import itertools

import numpy as np


def next_pairs(text, seed):
    np.random.seed(seed)
    made = []
    for name, rows in text.items():
        other = [s for k in text if k != name for _, s in text[k]]
        for (p, a), (q, b) in itertools.pairwise(rows):
            if q == p + 1:
                made.append((a, b, "next"))
                made.append((a, str(np.random.choice(other)), "other"))
    return made
