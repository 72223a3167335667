import torch
from torch.nn import functional as F


def lay_between(parts, table, prompt):
    sizes = [p for p in parts if isinstance(p, int)]
    if sum(sizes) != len(prompt):
        raise ValueError
    chunks = list(prompt.split(sizes)) if sizes else []
    return torch.cat(
        [
            chunks.pop(0) if isinstance(p, int) else F.embedding(torch.tensor(p), table)
            for p in parts
        ]
    )
