"""Exercise 3.2: the check of ``lay_between``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, arrives, compare
from labkit.course.exercises.guard import Guarded


def _laid(
    parts: list, table: Tensor, prompt: Tensor, more: bool = True, fewer: bool = True
) -> Tensor:
    rows, left = [], list(range(len(prompt)))
    for part in parts:
        if isinstance(part, list):
            rows += [table[i] for i in part]
            continue
        if part > len(left) and more:
            raise ValueError
        rows += [prompt[i] for i in left[:part]]
        left = left[part:]
    if left and fewer:
        raise ValueError
    return torch.stack(rows)


def _slots(parts: list) -> int:
    return sum(part for part in parts if isinstance(part, int))


def _counted(lay: Callable[[list, Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """The same with the error where the numbers differ."""

    def laid(parts: list, table: Tensor, prompt: Tensor) -> Tensor:
        if _slots(parts) != len(prompt):
            raise ValueError
        return lay(parts, table, prompt)

    return laid


@exercise
def check_lay_between(lay: Guarded, draw: Draw) -> str:
    """``lay``: parts (ids of words, or a number of virtual tokens), table (V, D), prompt (P, D)."""
    layouts = [
        ([2, [7, 3, 1], 3, [8]], 5), ([[4, 4], 5, [0]], 5), ([[6], 1, [2], 1, 1], 3),
        ([3, 2, [1, 0, 2]], 5), ([4], 4), ([1, [5]], 1), ([[2, 8], [3], 2, [0], 2], 4),
        ([2, [7], 2], 5), ([4, [7], 2], 5), ([[1, 2]], 2), ([6], 5), ([[3], 1], 2),
    ]  # fmt: skip
    cases = [(parts, draw.normal(9, 4), draw.normal(rows, 4)) for parts, rows in layouts]
    cases.append(([1, [299, 256, 3], 1], draw.normal(300, 3), draw.normal(2, 3)))
    ids = [draw.whole(0, 8) for _ in range(4)]
    cases.append(([ids[:1], 2, ids[1:], 3], draw.normal(9, 2), draw.normal(5, 2)))

    def words_of(parts: list) -> list[int]:
        return [i for part in parts if isinstance(part, list) for i in part]

    def again(parts, table, prompt):
        return torch.cat([prompt[:p] if isinstance(p, int) else table[p] for p in parts])

    def from_the_end(parts, table, prompt):
        return _laid(parts, table, prompt.flip(0))

    def blocks_from_the_end(parts, table, prompt):
        rows, left = [], prompt
        for p in parts:
            rows.append(left[len(left) - p :] if isinstance(p, int) else table[p])
            left = left[: len(left) - p] if isinstance(p, int) else left
        return torch.cat(rows)

    def one_each(parts, table, prompt):
        rows, used = [], 0
        for p in parts:
            rows.append(prompt[used : used + 1] if isinstance(p, int) else table[p])
            used += isinstance(p, int)
        return torch.cat(rows)

    def first_row(parts, table, prompt):
        return torch.cat([prompt[:1].expand(p, -1) if isinstance(p, int) else table[p]
                          for p in parts])  # fmt: skip

    both = {
        "all virtual tokens stand in front: keep the order of the parts, as the template has it": (
            lambda s, t, p: torch.cat([p, t[words_of(s)]])
        ),
        "all virtual tokens stand behind the words: keep the order of the parts": (
            lambda s, t, p: torch.cat([t[words_of(s)], p])
        ),
        "the second slot begins again at row 0: a slot goes on where the last one stopped": again,
        "the prompt runs backwards: the first slot takes the first rows": from_the_end,
        "for each slot the rows are taken from the end: the first slot takes the first rows": (
            blocks_from_the_end
        ),
        "each slot takes one row: its number says how many": one_each,
        "the same row fills a slot: each virtual token is used once": first_row,
        "the parts stand in reverse order": lambda s, t, p: _laid(s[::-1], t, p),
        "the words of a stretch run backwards": (
            lambda s, t, p: _laid([x if isinstance(x, int) else x[::-1] for x in s], t, p)
        ),
        "only the first word of each stretch is there": (
            lambda s, t, p: _laid([x if isinstance(x, int) else x[:1] for x in s], t, p)
        ),
    }
    quiet = (
        "slots for more or fewer virtual tokens than the prompt has, and no ValueError: rows "
        "would be lost, or slots stay short, without a word"
    )
    mistakes = {
        quiet: lambda s, t, p: _laid(s, t, p, more=False, fewer=False),
        "rows of the prompt are left over, and no ValueError: they would be lost without a word": (
            lambda s, t, p: _laid(s, t, p, fewer=False)
        ),
        "the slots ask for more rows than the prompt has, and no ValueError: they would stay "
        "short without a word": lambda s, t, p: _laid(s, t, p, more=_slots(s) < len(p)),
        **{hint: _counted(make) for hint, make in both.items()},
        **{f"{hint}; and a ValueError is missing": make for hint, make in both.items()},
    }
    compare(
        lay,
        cases,
        _laid,
        mistakes=mistakes,
        unraised=quiet,
        where="One row per word piece and per virtual token, in the order of the parts; each "
        "virtual token once, in the prompt's order",
    )
    for args in (cases[0], cases[2]):
        arrives(lay, args, 2, _laid, draw)
    return "laid between the words: every row once, in order, gradient intact"
