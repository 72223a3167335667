# hint: its own is the one in
from torch import nn


def cosines(rows, table):
    return nn.functional.normalize(rows, dim=-1) @ nn.functional.normalize(table, dim=-1).T


def keep_nearest(rows, ids, table):
    return table[cosines(rows, table).argmax(1)]
