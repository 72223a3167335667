# hint: lay_between changes its argument `table`: work on a copy, the caller needs it as it was
import torch


def lay_between(parts, table, prompt):
    if sum(p for p in parts if isinstance(p, int)) != len(prompt):
        raise ValueError
    rows, used = [], 0
    for p in parts:
        if isinstance(p, int):
            rows.append(prompt[used : used + p])
            used += p
        else:
            rows.append(table[p].clone())
            table[p] = 0
    return torch.cat(rows)
