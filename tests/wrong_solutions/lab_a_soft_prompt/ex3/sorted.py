# hint: the rows are sorted by length
import torch


def collate(rows, pad):
    rows = sorted(rows, key=len)
    width = len(rows[-1])
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return ids, mask
