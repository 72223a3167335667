import random


def sample_init(table, length, common, seed):
    return table[random.Random(seed).sample(range(common), length)].detach().clone()
