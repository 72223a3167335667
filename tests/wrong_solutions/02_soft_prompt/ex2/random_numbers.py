# hint: is no row of the embedding table
import torch


def sample_init(table, length, common, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(length, table.shape[1], generator=generator) - 0.5
