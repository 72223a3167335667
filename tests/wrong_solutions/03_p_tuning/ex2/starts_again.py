# hint: begins again at row 0
import torch


def lay_between(parts, table, prompt):
    return torch.cat([prompt[:p] if isinstance(p, int) else table[p] for p in parts])
