"""Milestone A.3: the check of ``collate``."""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.checks.lab_a_soft_prompt.small_model import padded, some_rows
from labkit.course.exercises.compare import Draw, compare, require
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.show import shown


@exercise
def check_collate(collate: Guarded, draw: Draw) -> str:
    """``collate``: lists of ids, the id to fill up with → ids (B, T), mask (B, T)."""
    cases = [([[5, 6, 7], [8]], 2), ([[4, 2], [2], [9, 2, 2, 1]], 2), ([[3]], 0)]
    cases += [(some_rows(draw, draw.whole(2, 6)), draw.whole(0, 4)) for _ in range(5)]
    cases.append(([[draw.whole(300, 49_000) for _ in range(70)], [1]], 49_151))

    def ids_as(change):
        return lambda rows, pad: (change(rows, pad), padded(rows, pad)[1])

    def mask_as(change):
        return lambda rows, pad: (padded(rows, pad)[0], change(*padded(rows, pad), pad))

    def left(rows: list[list[int]], pad: int) -> tuple[Tensor, Tensor]:
        ids, mask = padded([row[::-1] for row in rows], pad)
        return ids.flip(1), mask.flip(1)

    def shortest(rows: list[list[int]], pad: int) -> tuple[Tensor, Tensor]:
        width = min(map(len, rows))
        return padded([row[:width] for row in rows], pad)

    def sorted_(rows: list[list[int]], pad: int) -> tuple[Tensor, Tensor]:
        return padded(sorted(rows, key=len), pad)

    def wider(rows: list[list[int]], pad: int) -> tuple[Tensor, Tensor]:
        ids, mask = padded([*rows, [pad] * (max(map(len, rows)) + 1)], pad)
        return ids[:-1], mask[:-1]

    compare(
        collate,
        cases,
        padded,
        mistakes={
            "the padding stands on the left: here texts begin at place 0 and are filled up on the "
            "right": left,
            "the padding stands on the left, the mask has it on the right": (
                ids_as(lambda rows, pad: left(rows, pad)[0])
            ),
            "a piece that happens to be the padding's id counts as padding: the mask comes from "
            "the lengths, not from the ids": mask_as(lambda ids, mask, pad: (ids != pad).long()),
            "the mask is turned round: 1 is text, 0 is padding": (
                mask_as(lambda ids, mask, pad: 1 - mask)
            ),
            "the mask is 1 everywhere: 0 where the row was filled up": (
                mask_as(lambda ids, mask, pad: torch.ones_like(mask))
            ),
            "`pad` is not used: the rows are filled up with 0": ids_as(
                lambda r, p: padded(r, 0)[0]
            ),
            "the rows are cut to the shortest: fill up to the longest": shortest,
            "the rows are sorted by length: labels would belong to other texts": sorted_,
            "one place too many: the longest row needs no padding": wider,
            "ids and mask are exchanged: the ids come first": (
                lambda rows, pad: padded(rows, pad)[::-1]
            ),
        },
        where="Row b holds the ids of text b, then `pad` up to the longest; the mask is 1 at ids, "
        "0 at the filling",
    )
    for value, name in zip(collate(*cases[0]), ("ids", "mask"), strict=True):
        whole = isinstance(value, Tensor) and value.dtype == torch.int64
        require(
            whole, f"the {name} are {shown(value)}: the model takes tensors of dtype torch.long"
        )
    return "padded: to the longest, on the right, with the mask of the lengths"
