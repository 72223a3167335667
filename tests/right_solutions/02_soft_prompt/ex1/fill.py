import torch


def prepend(prompt, embedded, mask):
    B, T, D = embedded.shape
    P = len(prompt)
    x = embedded.new_zeros(B, P + T, D)
    x[:, :P] = prompt
    x[:, P:] = embedded
    m = torch.ones(B, P + T, dtype=mask.dtype)
    m[:, P:] = mask
    return x, m
