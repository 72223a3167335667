# hint: changes its argument `rows`
from torch import nn


def cosines(rows, table):
    return nn.functional.normalize(rows, dim=-1) @ nn.functional.normalize(table, dim=-1).T


def keep_nearest(rows, ids, table):
    while (left := cosines(rows, table).argmax(1) != ids).any():
        rows[left] = (rows[left] + table[ids][left]) / 2
    return rows
