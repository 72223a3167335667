import torch


def prepend(prompt, embedded, mask):
    inputs = torch.stack([torch.cat([prompt, text]) for text in embedded])
    ones = torch.ones(len(prompt), dtype=mask.dtype)
    return inputs, torch.stack([torch.cat([ones, row]) for row in mask])
