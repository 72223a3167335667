# hint: sample_init changes its argument `table`: work on a copy, the caller needs it as it was
import torch


def sample_init(table, length, common, seed):
    g = torch.Generator().manual_seed(seed)
    table[:common] = table[torch.randperm(common, generator=g)]
    return table[:length].clone()
