# hint: one place too many
import torch


def collate(rows, pad):
    width = max(len(row) for row in rows) + 1
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return ids, mask
