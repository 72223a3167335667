# hint: and no ValueError
import torch


def lay_between(parts, table, prompt):
    rows, used = [], 0
    for part in parts:
        if isinstance(part, int):
            rows.append(prompt[used : used + part])
            used += part
        else:
            rows.append(table[part])
    return torch.cat(rows)
