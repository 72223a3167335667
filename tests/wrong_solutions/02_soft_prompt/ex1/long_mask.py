# hint: the mask came as bool and comes back as int64
import torch


def prepend(prompt, embedded, mask):
    inputs = torch.cat([prompt.expand(len(embedded), -1, -1), embedded], 1)
    return inputs, torch.cat([torch.ones(len(mask), len(prompt), dtype=torch.long), mask], 1)
