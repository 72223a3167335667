# hint: all virtual tokens stand in front
import torch


def lay_between(parts, table, prompt):
    if sum(part for part in parts if isinstance(part, int)) != len(prompt):
        raise ValueError("slots and prompt differ")
    words = [i for part in parts if not isinstance(part, int) for i in part]
    return torch.cat([prompt, table[words]])
