import torch
from torch.nn import functional as F


def sample_init(table, length, common, seed):
    g = torch.Generator()
    g.manual_seed(seed)
    return F.embedding(torch.rand(common, generator=g).argsort()[:length], table)
