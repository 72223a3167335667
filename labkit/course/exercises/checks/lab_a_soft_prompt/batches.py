"""Milestone A.2: the check of ``batches``."""

from __future__ import annotations

import numpy as np

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded


def _order(count: int, seed: int, epoch: int) -> list[int]:
    return [int(place) for place in np.random.default_rng([seed, epoch]).permutation(count)]


def _cut(order: list[int], size: int) -> list[list[int]]:
    parts: list[list[int]] = []
    for place, row in enumerate(order):
        if place % size == 0:
            parts.append([])
        parts[-1].append(row)
    return parts


def right_batches(count: int, size: int, seed: int, epoch: int) -> list[list[int]]:
    return _cut(_order(count, seed, epoch), size)


@exercise(overtime="does the loop go on to the next batch?")
def check_batches(batches: Guarded, draw: Draw) -> str:
    """``batches``: count, size, seed, epoch → lists of row numbers, each row once."""
    cases = [(7, 3, 0, 0), (7, 3, 0, 1), (7, 3, 1, 0), (6, 2, 2, 5), (5, 8, 1, 1), (1, 1, 0, 0)]
    cases += [
        (draw.whole(9, 40), draw.whole(2, 8), draw.whole(0, 50), draw.whole(0, 9))
        for _ in range(6)
    ]  # fmt: skip
    cases.append((300, 16, draw.whole(0, 9), 2))

    def full(count, size, seed, epoch):
        return [part for part in right_batches(count, size, seed, epoch) if len(part) == size]

    def filled(count, size, seed, epoch):
        order = _order(count, seed, epoch)
        parts = _cut(order, size)
        parts[-1] += order[: size - len(parts[-1])]
        return parts

    def dealt(count, size, seed, epoch):
        order = _order(count, seed, epoch)
        return [order[i :: -(-count // size)] for i in range(-(-count // size))]

    compare(
        batches,
        cases,
        right_batches,
        mistakes={
            "the last, shorter batch is missing: every row comes up once in an epoch": full,
            "the last batch was filled up with rows that were there already: it is shorter": filled,
            "the rows are not shuffled: the permutation says in which order they come": (
                lambda count, size, seed, epoch: _cut(list(range(count)), size)
            ),
            "each epoch has the same order: the generator takes `[seed, epoch]`, not the seed "
            "alone": lambda count, size, seed, epoch: _cut(
                np.random.default_rng(seed).permutation(count).tolist(), size
            ),
            "the seed makes no difference: the generator takes `[seed, epoch]`, not the epoch "
            "alone": lambda count, size, seed, epoch: _cut(
                np.random.default_rng(epoch).permutation(count).tolist(), size
            ),
            "seed and epoch are exchanged: the generator takes `[seed, epoch]`": (
                lambda count, size, seed, epoch: right_batches(count, size, epoch, seed)
            ),
            "seed and epoch are added: then seed 0 has in epoch 1 what seed 1 has in epoch 0; the "
            "generator takes `[seed, epoch]`": lambda count, size, seed, epoch: _cut(
                np.random.default_rng(seed + epoch).permutation(count).tolist(), size
            ),
            "the rows are dealt out in turn: the first `size` of the order are the first batch": (
                dealt
            ),
            "the batches are right, but each is sorted: keep the order of the permutation": (
                lambda *args: [sorted(part) for part in right_batches(*args)]
            ),
            "`size` is taken for the number of batches": lambda count, size, seed, epoch: _cut(
                _order(count, seed, epoch), -(-count // size)
            ),
        },
        where="Cut `numpy.random.default_rng([seed, epoch]).permutation(count)` into consecutive "
        "parts of `size`; the last may be shorter",
    )
    return "batches: every row once, in an order of its own for each seed and epoch"
