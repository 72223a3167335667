# hint: another seed should draw others
import torch


def sample_init(table, length, common, seed):
    generator = torch.Generator().manual_seed(0)
    return table[torch.randperm(common, generator=generator)[:length]].clone()
