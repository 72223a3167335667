import torch


def sinusoids(length, width):
    column = torch.arange(width, dtype=torch.float32)
    angles = torch.outer(torch.arange(length).float(), 10_000 ** (-column / width))
    return torch.where(column % 2 == 0, angles.sin(), angles.cos())
