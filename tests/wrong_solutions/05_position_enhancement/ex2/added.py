# hint: the first term is in it: the second one alone is asked for
import torch


def relative_scores(queries, table):
    p = torch.arange(len(queries))
    return queries @ queries.T + (
        queries[:, None] * table[p[None] - p[:, None] + len(queries) - 1]
    ).sum(-1)
