import torch
from torch import nn


def cosines(rows, table):
    return nn.functional.normalize(rows, dim=-1) @ nn.functional.normalize(table, dim=-1).T


def keep_nearest(rows, ids, table):
    # less than half the angle to the word's own nearest neighbour, whichever way
    words = table[ids]
    near = cosines(words, table)
    near[torch.arange(len(ids)), ids] = -1
    angle = near.max(1).values.clamp(-1, 1).acos()
    radius = 0.98 * words.norm(dim=1) * (angle / 2).sin()
    offset = rows - words
    far = offset.norm(dim=1).clamp(min=1e-12)
    return words + offset * (radius / far).clamp(max=1)[:, None]
