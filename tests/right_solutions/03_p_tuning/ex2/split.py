import torch


def lay_between(parts, table, prompt):
    counts = [part for part in parts if isinstance(part, int)]
    if sum(counts) != len(prompt):
        raise ValueError(f"slots for {sum(counts)}, a prompt of {len(prompt)}")
    slots = iter(prompt.split(counts))
    return torch.cat([next(slots) if isinstance(p, int) else table[p] for p in parts])
