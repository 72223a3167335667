import torch


def prepend(prompt, embedded, mask):
    p = torch.einsum("b,pd->bpd", torch.ones(len(embedded)), prompt)
    return torch.cat([p, embedded], 1), torch.cat([torch.ones_like(p[..., 0]).to(mask), mask], 1)
