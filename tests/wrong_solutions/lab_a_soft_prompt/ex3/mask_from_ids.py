# hint: a piece that happens to be the padding's id
import torch


def collate(rows, pad):
    width = max(len(row) for row in rows)
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
    mask = (ids != pad).long()
    return ids, mask
