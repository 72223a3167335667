# hint: cut to the shortest
import torch


def collate(rows, pad):
    width = min(len(row) for row in rows)
    ids = torch.tensor([row[:width] for row in rows])
    mask = torch.tensor([[1] * width for row in rows])
    return ids, mask
