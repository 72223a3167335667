# hint: ends in IndexError: index 5 is out of bounds for dimension 0 with size 5
import torch


def relative_scores(queries, table):
    p = torch.arange(len(queries))
    return (queries[:, None] * table[p[None] - p[:, None] + 3]).sum(-1)
