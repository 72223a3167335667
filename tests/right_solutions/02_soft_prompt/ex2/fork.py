import torch


def sample_init(table, length, common, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        i = torch.randperm(common)[:length]
    return table[i].clone()
