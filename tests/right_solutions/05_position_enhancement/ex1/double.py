import torch


def sinusoids(length, width):
    t = torch.empty(length, width, dtype=torch.float64)
    p = torch.arange(length, dtype=torch.float64)[:, None]
    for c in range(width):
        t[:, c : c + 1] = (torch.cos if c & 1 else torch.sin)(p / 10_000.0 ** (c / width))
    return t
