# hint: came every time
import random


def sample_init(table, length, common, seed):
    return table[[0, *random.Random(seed).sample(range(1, common), length - 1)]]
