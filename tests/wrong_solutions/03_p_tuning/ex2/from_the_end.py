# hint: for each slot the rows are taken from the end
import torch


def lay_between(parts, table, prompt):
    rows, left = [], prompt
    for part in parts:
        if isinstance(part, int):
            if part > len(left):
                raise ValueError("too few rows")
            rows.append(left[len(left) - part :])
            left = left[: len(left) - part]
        else:
            rows.append(table[part])
    if len(left):
        raise ValueError("rows left over")
    return torch.cat(rows)
