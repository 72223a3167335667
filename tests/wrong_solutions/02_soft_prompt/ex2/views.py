# hint: parts of the embedding table itself
import random


def sample_init(table, length, common, seed):
    return [table[row] for row in random.Random(seed).sample(range(common), length)]
