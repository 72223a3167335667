# hint: the mask is turned round
import torch


def collate(rows, pad):
    width = max(len(row) for row in rows)
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
    mask = torch.tensor([[0] * len(row) + [1] * (width - len(row)) for row in rows])
    return ids, mask
