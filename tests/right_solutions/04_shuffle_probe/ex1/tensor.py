import math

import torch


def block_orders(length, unit, count, seed):
    g = torch.Generator().manual_seed(seed)
    n = length // unit
    seen = {tuple(range(n))}
    out = []
    while len(out) < count and len(seen) < math.factorial(n):
        o = tuple(torch.randperm(n, generator=g).tolist())
        if o in seen:
            continue
        seen.add(o)
        out.append(torch.arange(length).view(n, unit)[list(o)].flatten())
    return out
