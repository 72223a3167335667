import torch


class Bad(ValueError):
    pass


def lay_between(parts, table, prompt):
    def go(parts, prompt):
        if not parts:
            if len(prompt):
                raise Bad
            return []
        p, *rest = parts
        if isinstance(p, int):
            if p > len(prompt):
                raise Bad
            return [prompt[:p]] + go(rest, prompt[p:])
        return [table[p]] + go(rest, prompt)

    return torch.cat(go(parts, prompt))
