# hint: the row is j − i without P − 1: a negative number counts from the end of the table
import torch


def relative_scores(queries, table):
    p = torch.arange(len(queries))
    return (queries[:, None] * table[(p[None] - p[:, None]) % len(table)]).sum(-1)
