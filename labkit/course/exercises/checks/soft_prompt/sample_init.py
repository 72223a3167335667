"""Exercise 2.2: the check of ``sample_init``."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, read_result, refuse_views, require
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.show import shown


@exercise(overtime="are there enough different rows among the first `common`?")
def check_sample_init(sample_init: Guarded, draw: Draw) -> str:
    """``sample_init``: table (V, D), length, common, seed → (P, D) rows of the first ``common``."""
    table = draw.normal(20, 3)
    start = draw.whole(0, 4)
    _refuse_views(sample_init, table)
    drawn = {}
    for seed in (start, start + 1, start + 2, start + 3, start, start + 1):
        rows = _drawn(sample_init, table, 6, 10, seed)
        if seed in drawn:
            require(
                drawn[seed] == rows,
                f"the same seed, the same prompt: seed {seed} gave the rows {drawn[seed]} and then "
                f"{rows}",
            )
        drawn[seed] = rows
    require(
        len({tuple(rows) for rows in drawn.values()}) > 1,
        "another seed should draw others: `seed` makes no difference",
    )
    require(
        len({tuple(sorted(rows)) for rows in drawn.values()}) > 1,
        "another seed should draw others: here it only changes their order",
    )
    stretches = [
        len({row for r in rows for row in (r, (r + 1) % 10)}) == len(rows) + 1
        for rows in drawn.values()
    ]
    require(not all(stretches), "the rows are neighbours each time: draw them one by one")
    many = [_drawn(sample_init, table, 4, 8, seed) for seed in range(60)]
    every = {row for rows in many for row in rows}
    require(
        every == set(range(8)),
        f"in 60 draws of 4 among the first 8 rows, rows {sorted(set(range(8)) - every)} never came",
    )
    always = sorted(row for row in every if all(row in rows for rows in many))
    require(not always, f"in 60 draws of 4 among the first 8 rows, rows {always} came every time")
    wide = draw.normal(400, 2)
    for length, common in ((5, 5), (1, 1), (1, 12), (12, 12), (300, 320), (2, 400)):
        _drawn(sample_init, wide, length, common, draw.whole(0, 99))
    return "initialised: distinct common entries, seeded, a copy"


def _refuse_views(sample_init: Guarded, table: Tensor) -> None:
    whole = isinstance(sample_init(table, 6, 10, 0), Tensor | np.ndarray)
    refuse_views(
        sample_init,
        (table, 6, 10, 0),
        "changing the prompt changed the embedding table: return a copy"
        if whole
        else "the rows that come back are parts of the embedding table itself, and training would "
        "write there: make one tensor of them (torch.stack copies)",
    )


def _drawn(sample_init: Guarded, table: Tensor, length: int, common: int, seed: int) -> list[int]:
    """Which rows were drawn."""
    args = (table, length, common, seed)
    start = read_result(sample_init, args, torch.zeros(length, table.shape[1]))
    call = f"sample_init(table, length={length}, common={common}, seed={seed})"
    rows = []
    for vector in start:
        equal = (table.double() == vector).all(1).nonzero()
        require(
            len(equal) > 0,
            f"{call}: {shown(vector)} is no row of the embedding table; every row should be one, "
            "unchanged",
        )
        rows.append(int(equal[0]))
    require(
        max(rows) < common,
        f"{call}: row {max(rows)} was drawn, but only the first {common} entries are common",
    )
    require(
        len(set(rows)) == length,
        f"{call}: some entries repeat (rows {shown(rows)}); draw without repetition",
    )
    return rows
