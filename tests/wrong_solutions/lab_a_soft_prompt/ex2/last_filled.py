# hint: the last batch was filled up
import numpy as np


def batches(count, size, seed, epoch):
    order = np.random.default_rng([seed, epoch]).permutation(count).tolist()
    parts = [order[i : i + size] for i in range(0, count, size)]
    parts[-1] = parts[-1] + order[: size - len(parts[-1])]
    return parts
