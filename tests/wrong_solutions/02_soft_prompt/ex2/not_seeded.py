# hint: the same seed, the same prompt
import torch


def sample_init(table, length, common, seed):
    return table[torch.randperm(common)[:length]].clone()
