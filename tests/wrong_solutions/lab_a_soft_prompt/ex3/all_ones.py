# hint: the mask is 1 everywhere
import torch


def collate(rows, pad):
    width = max(len(row) for row in rows)
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * width for row in rows])
    return ids, mask
