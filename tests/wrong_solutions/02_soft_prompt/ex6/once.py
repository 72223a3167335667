# hint: half of the way once is not always enough
import torch
from torch import nn


def cosines(rows, table):
    return nn.functional.normalize(rows, dim=-1) @ nn.functional.normalize(table, dim=-1).T


def keep_nearest(rows, ids, table):
    left = (cosines(rows, table).argmax(1) != ids)[:, None]
    return torch.where(left, (rows + table[ids]) / 2, rows)
