# hint: relative_scores changes its argument `queries`: work on a copy, the caller needs it as it
import torch


def relative_scores(queries, table):
    queries *= 1.0
    queries /= queries.shape[1] ** 0.5
    p = torch.arange(len(queries))
    return (queries[:, None] * table[p[None] - p[:, None] + len(queries) - 1]).sum(-1)
