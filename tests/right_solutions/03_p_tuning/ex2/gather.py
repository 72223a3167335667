import torch


def lay_between(parts, table, prompt):
    both = torch.cat([table, prompt])
    ids = []
    n = len(table)
    for p in parts:
        if isinstance(p, int):
            ids += range(n, n + p)
            n += p
        else:
            ids += p
    if n != len(both):
        raise ValueError
    return both[ids]
