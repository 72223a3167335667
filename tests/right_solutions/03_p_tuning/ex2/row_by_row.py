import torch


def lay_between(parts, table, prompt):
    rows, left = [], list(prompt)
    for part in parts:
        if isinstance(part, int):
            if part > len(left):
                raise ValueError("the prompt is too short")
            rows += [left.pop(0) for _ in range(part)]
        else:
            rows += [table[i] for i in part]
    if left:
        raise ValueError("virtual tokens are left over")
    return torch.stack(rows)
