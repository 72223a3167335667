import random

import torch


def sample_init(table, length, common, seed):
    return torch.stack([table[i] for i in random.Random(seed).sample(range(common), length)])
