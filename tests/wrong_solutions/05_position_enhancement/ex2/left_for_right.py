# hint: left and right are exchanged
import torch


def relative_scores(queries, table):
    count = len(queries)
    index = torch.tensor([[i - j + count - 1 for j in range(count)] for i in range(count)])
    return (queries[:, None] * table[index]).sum(-1)
