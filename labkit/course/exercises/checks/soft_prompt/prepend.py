"""Exercise 2.1: the check of ``prepend``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, arrives, compare, refuse_other_type
from labkit.course.exercises.guard import Guarded


def _in_front(prompt: Tensor, embedded: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    rows = [torch.cat([prompt, text]) for text in embedded]
    ones = torch.ones(len(embedded), len(prompt), dtype=mask.dtype)
    return torch.stack(rows), torch.cat([ones, mask], 1)


def _masks(draw: Draw, rows: int, width: int) -> Tensor:
    lengths = torch.tensor([draw.whole(1, width) for _ in range(rows)])
    return (torch.arange(width) < lengths[:, None]).long()


def padded_behind(prompt: Tensor, mask: Tensor) -> Tensor:
    """A mask that knows of each text how long it is, and nothing else."""
    ends = len(prompt) + mask.sum(1, keepdim=True)
    return (torch.arange(len(prompt) + mask.shape[1]) < ends).to(mask.dtype)


@exercise
def check_prepend(prepend: Guarded, draw: Draw) -> str:
    """``prepend``: prompt (P, D), embedded (B, T, D), mask (B, T) → (B, P+T, D), (B, P+T)."""
    shapes = [(3, 2, 5, 4), (1, 3, 4, 2), (4, 1, 3, 5), (2, 3, 1, 3), (3, 3, 3, 3), (2, 4, 300, 2)]
    cases = [(draw.normal(p, d), draw.normal(b, t, d), _masks(draw, b, t)) for p, b, t, d in shapes]
    cases[0][2][:] = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    p, x, mask = cases[-1]
    cases += [(p, x, mask.flip(1)), (p, x, mask.bool())]  # padding may stand in front as well

    def mask_as(change) -> Any:
        return lambda p, x, m: (_in_front(p, x, m)[0], change(p, x, m))

    def inputs_as(change) -> Any:
        return lambda p, x, m: (change(p, x, m), _in_front(p, x, m)[1])

    def behind(p, x, m):
        return torch.cat([x, p.expand(len(x), -1, -1)], 1)

    def ones(p, m):
        return m.new_ones(len(m), len(p))

    compare(
        prepend,
        cases,
        _in_front,
        mistakes={
            "the mask was not extended: the model would ignore the last positions, which are text "
            "now; put ones for the virtual tokens in front of it": mask_as(lambda p, x, m: m),
            "the prompt stands behind the text (and its padding), and so do its ones: put both in "
            "front": lambda p, x, m: (behind(p, x, m), torch.cat([m, ones(p, m)], 1)),
            "the prompt stands behind the text (and its padding): put it in front": (
                inputs_as(behind)
            ),
            "the ones stand behind the mask: the virtual tokens' go in front of the text's own "
            "mask": mask_as(lambda p, x, m: torch.cat([m, ones(p, m)], 1)),
            "virtual tokens are to be attended to: their mask is 1": (
                mask_as(lambda p, x, m: torch.cat([0 * ones(p, m), m], 1))
            ),
            "the mask is 1 everywhere: the text's own mask should follow, with its zeros at the "
            "padding": mask_as(lambda p, x, m: torch.cat([ones(p, m), torch.ones_like(m)], 1)),
            "the text's mask is turned round: it should follow unchanged": (
                mask_as(lambda p, x, m: torch.cat([ones(p, m), 1 - m], 1))
            ),
            "the mask is made anew from the lengths, as if all padding stood behind the text: the "
            "text's own mask follows, wherever its zeros stand": (
                mask_as(lambda p, x, m: padded_behind(p, m))
            ),
            "the prompt is put in the place of the first vectors of the text: it goes in front of "
            "them": lambda p, x, m: (torch.cat([p.expand(len(x), -1, -1), x[:, len(p):]], 1), m),
            "the virtual tokens run backwards": (
                inputs_as(lambda p, x, m: _in_front(p.flip(0), x, m)[0])
            ),
            "the text's vectors run backwards": (
                inputs_as(lambda p, x, m: _in_front(p, x.flip(1), m)[0])
            ),
            "mask and input are exchanged: the input comes first": (
                lambda p, x, m: _in_front(p, x, m)[::-1]
            ),
            "only the first text gets the prompt": inputs_as(
                lambda p, x, m: torch.cat(
                    [torch.stack([p, *[0 * p] * (len(x) - 1)]), x], 1
                )
            ),
            "the virtual tokens are all alike: each has its own row": (
                inputs_as(lambda p, x, m: _in_front(p[:1].expand(len(p), -1), x, m)[0])
            ),
        },
        where="P + T positions for each of the B texts: first the prompt's rows, in order, then "
        "the text's vectors, unchanged; the mask has ones for the virtual tokens, then its own "
        "numbers",
    )  # fmt: skip
    for args in cases:
        refuse_other_type(prepend(*args)[1], args[2])
    for args in cases[:3]:
        arrives(prepend, args, 0, lambda *a: _in_front(*a)[0], draw, lambda result: result[0])
    return "prepended: vectors and mask, gradient intact"
