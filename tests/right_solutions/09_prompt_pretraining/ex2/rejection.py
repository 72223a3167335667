import itertools

import torch


def next_pairs(text, seed):
    g = torch.Generator().manual_seed(seed)
    out = []
    flat = [(d, p, s) for d, rows in text.items() for p, s in rows]
    for (d, p, s), (e, q, t) in itertools.pairwise(flat):
        if d == e and q - p == 1:
            while True:
                f, _, u = flat[int(torch.randint(len(flat), (1,), generator=g))]
                if f != d:
                    break
            out.append([s, t, "next"])
            out.append([s, u, "other"])
    return out
