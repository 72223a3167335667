# hint: places to the right are set to zero: every pair has its score
import torch


def relative_scores(queries, table):
    p = torch.arange(len(queries))
    return (queries[:, None] * table[p[None] - p[:, None] + len(queries) - 1]).sum(-1).tril()
