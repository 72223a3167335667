# hint: nothing comes back (None)
import random


def sample_init(table, length, common, seed):
    rows = random.Random(seed).sample(range(common), length)
    start = table[rows].clone()
