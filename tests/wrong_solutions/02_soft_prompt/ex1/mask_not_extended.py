# hint: the mask was not extended
import torch


def prepend(prompt, embedded, mask):
    rows = len(embedded)
    return torch.cat([prompt.expand(rows, -1, -1), embedded], dim=1), mask
