import torch


def relative_scores(queries, table):
    P = len(queries)
    full = queries @ table.T
    return torch.stack([full[i, P - 1 - i : 2 * P - 1 - i] for i in range(P)])
