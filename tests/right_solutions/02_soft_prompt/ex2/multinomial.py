import torch


def sample_init(table, length, common, seed):
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.multinomial(torch.ones(common), length, generator=generator)
    return table.index_select(0, chosen)
