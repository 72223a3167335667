import torch
from torch import nn


def cosines(rows, table):
    return nn.functional.normalize(rows, dim=-1) @ nn.functional.normalize(table, dim=-1).T


def keep_nearest(rows, ids, table):
    kept = []
    for row, i in zip(rows, ids.tolist()):
        low, high, word = 0.0, 1.0, table[i]
        if cosines(row[None], table).argmax() == i:
            kept.append(row)
            continue
        for _ in range(20):
            middle = (low + high) / 2
            stays = cosines((word + middle * (row - word))[None], table).argmax() == i
            low, high = (middle, high) if stays else (low, middle)
        kept.append(word + low * (row - word))
    return torch.stack(kept)
