# hint: sample_init reseeds the global generator (torch.manual_seed): whatever the notebook draws
import torch


def sample_init(table, length, common, seed):
    torch.manual_seed(seed)
    return table[torch.randperm(common)[:length]].clone()
