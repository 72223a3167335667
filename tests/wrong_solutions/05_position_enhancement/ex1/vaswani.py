# hint: exponents of Vaswani
import math

import torch


def sinusoids(length, width):
    rows = []
    for place in range(0, 0 + length):
        angles = [place / 10_000.0 ** ((c - c % 2) / width) for c in range(width)]
        row = [math.cos(a) if c % 2 else math.sin(a) for c, a in enumerate(angles)]
        rows.append(row)
    return torch.tensor(rows)
