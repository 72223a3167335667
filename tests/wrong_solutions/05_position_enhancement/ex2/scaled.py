# hint: no such factor
import torch


def relative_scores(queries, table):
    count = len(queries)
    index = torch.tensor([[j - i + count - 1 for j in range(count)] for i in range(count)])
    return (queries[:, None] * table[index]).sum(-1) / queries.shape[-1] ** 0.5
