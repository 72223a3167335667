# hint: the result has shape (6,)
import random

import torch


def sample_init(table, length, common, seed):
    return torch.tensor(random.Random(seed).sample(range(common), length))
