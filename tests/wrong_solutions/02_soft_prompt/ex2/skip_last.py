# hint: in 60 draws of 4 among the first 8 rows, rows [7] never came
import random


def sample_init(table, length, common, seed):
    rows = random.Random(seed).sample(range(max(common - 1, length)), length)
    return table[rows].clone()
