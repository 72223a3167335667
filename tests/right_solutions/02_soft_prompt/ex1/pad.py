import torch
from torch.nn import functional as F


def prepend(prompt, embedded, mask):
    return torch.stack([torch.vstack([prompt, e]) for e in embedded]), F.pad(
        mask, (len(prompt), 0), value=1
    )
