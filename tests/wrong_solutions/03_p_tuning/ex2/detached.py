# hint: no gradient reaches `prompt`
import torch


def lay_between(parts, table, prompt):
    rows, used = [], 0
    for part in parts:
        if isinstance(part, int):
            rows += prompt[used : used + part].tolist()
            used += part
        else:
            rows += table[part].tolist()
    if used != len(prompt):
        raise ValueError("slots and prompt differ")
    return torch.tensor(rows)
