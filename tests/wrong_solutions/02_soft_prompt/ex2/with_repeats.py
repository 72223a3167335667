# hint: draw without repetition
import torch


def sample_init(table, length, common, seed):
    generator = torch.Generator().manual_seed(seed)
    return table[torch.randint(common, (length,), generator=generator)].clone()
