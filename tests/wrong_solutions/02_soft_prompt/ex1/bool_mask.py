# hint: the mask came as int64 and comes back as bool
import torch


def prepend(prompt, embedded, mask):
    B, T, D = embedded.shape
    P = len(prompt)
    m = torch.ones(B, P + T, dtype=torch.bool)
    m[:, P:] = mask.bool()
    return torch.cat([prompt.expand(B, P, D), embedded], 1), m
