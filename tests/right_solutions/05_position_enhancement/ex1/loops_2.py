import math

import torch


def sinusoids(length, width):
    return torch.tensor(
        [
            [(math.cos if c % 2 else math.sin)(p / 10_000 ** (c / width)) for c in range(width)]
            for p in range(length)
        ]
    )
