# hint: the gradient that reaches `prompt` is another one than that of the result
import torch


def lay_between(parts, table, prompt):
    if sum(p for p in parts if isinstance(p, int)) != len(prompt):
        raise ValueError
    out = torch.zeros(
        len(prompt) + sum(len(p) for p in parts if not isinstance(p, int)), prompt.shape[1]
    )
    i = used = 0
    for p in parts:
        n = p if isinstance(p, int) else len(p)
        out[i : i + n] = prompt[used : used + p].detach() if isinstance(p, int) else table[p]
        used += n if isinstance(p, int) else 0
        i += n
    return out + 0 * prompt.sum()
