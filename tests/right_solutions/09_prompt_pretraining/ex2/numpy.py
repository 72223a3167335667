import numpy as np


def next_pairs(text, seed):
    g = np.random.default_rng(seed)
    out = []
    flat = [(d, p, s) for d, rows in text.items() for p, s in rows]
    for (d, p, s), (e, q, t) in zip(flat, flat[1:]):
        if d == e and q == p + 1:
            far = [u for f, _, u in flat if f != d]
            out += [(s, t, "next"), (s, far[g.integers(len(far))], "other")]
    return out
