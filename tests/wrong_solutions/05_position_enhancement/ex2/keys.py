# hint: the query of j was taken: row i is place i looking at j
import torch


def relative_scores(queries, table):
    p = torch.arange(len(queries))
    r = table[p[None] - p[:, None] + len(queries) - 1]
    return (queries[None] * r).sum(-1)
