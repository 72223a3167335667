# hint: changes its argument `rows`
import torch


def collate(rows, pad):
    width = max(map(len, rows))
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for i, row in enumerate(rows):
        mask[i, : len(row)] = 1
        row += [pad] * (width - len(row))
    return torch.tensor(rows), mask
