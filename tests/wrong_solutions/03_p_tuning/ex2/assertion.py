# hint: ends in AssertionError
import torch


def lay_between(parts, table, prompt):
    assert sum(p for p in parts if isinstance(p, int)) == len(prompt)
    rows, used = [], 0
    for p in parts:
        if isinstance(p, int):
            rows.append(prompt[used : used + p])
            used += p
        else:
            rows.append(table[p])
    return torch.cat(rows)
