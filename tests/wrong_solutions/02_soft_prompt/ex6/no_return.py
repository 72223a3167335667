# hint: nothing comes back
from torch import nn


def cosines(rows, table):
    return nn.functional.normalize(rows, dim=-1) @ nn.functional.normalize(table, dim=-1).T


def keep_nearest(rows, ids, table):
    back = rows.clone()
    while (left := cosines(back, table).argmax(1) != ids).any():
        back[left] = (back[left] + table[ids][left]) / 2
