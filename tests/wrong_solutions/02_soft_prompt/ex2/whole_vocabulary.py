# hint: entries are common
import torch


def sample_init(table, length, common, seed):
    generator = torch.Generator().manual_seed(seed)
    return table[torch.randperm(len(table), generator=generator)[:length]].clone()
