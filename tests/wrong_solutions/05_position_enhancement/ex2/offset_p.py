# hint: j) is the product of query i with the table's row j − i + P − 1
import torch


def relative_scores(queries, table):
    p = torch.arange(len(queries))
    r = table[(p[None] - p[:, None] + len(queries)).clamp(max=len(table) - 1)]
    return (queries[:, None] * r).sum(-1)
