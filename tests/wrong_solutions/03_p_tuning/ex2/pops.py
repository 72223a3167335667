# hint: lay_between changes its argument `parts`: work on a copy, the caller needs it as it was
import torch


def lay_between(parts, table, prompt):
    if sum(p for p in parts if isinstance(p, int)) != len(prompt):
        raise ValueError
    rows, used = [], 0
    while parts:
        p = parts.pop(0)
        if isinstance(p, int):
            rows.append(prompt[used : used + p])
            used += p
        else:
            rows.append(table[p])
    return torch.cat(rows)
