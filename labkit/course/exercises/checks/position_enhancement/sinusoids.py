"""Exercise 5.1: the check of ``sinusoids``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import Tolerance


def _sinusoids(
    length: int,
    width: int,
    start: int = 0,
    base: float = 10_000.0,
    exponent: Callable[[int, int], float] = lambda c, d: c / d,
    waves: tuple[Callable, Callable] = (math.sin, math.cos),
) -> Tensor:
    rows = [
        [waves[c % 2](place / base ** exponent(c, width)) for c in range(width)]
        for place in range(start, start + length)
    ]
    return torch.tensor(rows, dtype=torch.float64).reshape(length, width)


def _halves(length: int, width: int) -> Tensor:
    table = _sinusoids(length, width)
    return torch.cat([table[:, 0::2], table[:, 1::2]], 1)


def _half_waves(length: int, width: int, exponent: Callable[[int, int], float]) -> Tensor:
    """All sines, then all cosines, of the same angles."""
    half = width // 2
    angles = [[p / 10_000 ** exponent(i, width) for i in range(half)] for p in range(length)]
    table = torch.tensor(angles, dtype=torch.float64).reshape(length, half)
    return torch.cat([table.sin(), table.cos()], 1)


@exercise
def check_sinusoids(sinusoids: Guarded, draw: Draw) -> str:
    """``sinusoids``: length, width → (P, D), the printed equations 2 and 3."""
    cases = [(5, 6), (4, 5), (1, 4), (9, 6), (40, 10), (3, 1), (7, 2), (3, 7), (300, 8)]
    cases += [(draw.whole(2, 30), draw.whole(2, 15)) for _ in range(5)]

    def wrong(**kinds: Any):
        return lambda length, width: _sinusoids(length, width, **kinds)

    compare(
        sinusoids,
        cases,
        _sinusoids,
        tolerance=Tolerance(1e-4, 2e-4),
        mistakes={
            "these are the exponents of Vaswani et al. 2017, 2i/d in both; equation 3 prints "
            "(2i+1)/d for the cosine": wrong(exponent=lambda c, d: (c - c % 2) / d),
            "the places begin with 1: count places from 0": wrong(start=1),
            "sines and cosines stand in two halves: they take turns, 2i and 2i+1": _halves,
            "sines and cosines stand in two halves (with the same exponents 2i/d): they take "
            "turns, 2i and 2i+1": (lambda n, d: _half_waves(n, d, lambda i, width: 2 * i / width)),
            "sine and cosine are exchanged: the even columns are sines": (
                wrong(waves=(math.cos, math.sin))
            ),
            "all columns are sines: the odd ones are cosines": wrong(waves=(math.sin, math.sin)),
            "all columns are cosines: the even ones are sines": wrong(waves=(math.cos, math.cos)),
            "the base is 1000: the angle is the place divided by 10000 to the power column/width": (
                wrong(base=1000.0)
            ),
            "the base is 100000: the angle is the place divided by 10000 to the power "
            "column/width": wrong(base=100_000.0),
            "the base is 100: the angle is the place divided by 10000 to the power column/width": (
                wrong(base=100.0)
            ),
            "the exponent is twice as large: 2i is the column itself, so it is column/width": (
                wrong(exponent=lambda c, d: 2 * c / d)
            ),
            "the exponent counts pairs of columns, i/d: the equations have 2i/d and (2i+1)/d": (
                wrong(exponent=lambda c, d: (c // 2) / d)
            ),
            "the exponent is (2i+1)/d in both: in the sine it is 2i/d": (
                wrong(exponent=lambda c, d: (c - c % 2 + 1) / d)
            ),
            "the exponent's columns count from 1": wrong(exponent=lambda c, d: (c + 1) / d),
            "the exponent is divided by width − 1: divide by the width": (
                wrong(exponent=lambda c, d: c / (d - 1))
            ),
            "the exponent is not divided by the width": wrong(exponent=lambda c, d: c),
            "the place is multiplied by the power, not divided by it": (
                wrong(exponent=lambda c, d: -c / d)
            ),
            "the exponent is divided by half of the width: divide by the width": (
                wrong(exponent=lambda c, d: c / (d // 2))
            ),
            "the exponent is 0 in every column: it is column/width, not cut": (
                lambda n, d: _sinusoids(n, d, exponent=lambda c, w: 0.0)
            ),
            "rows and columns are exchanged: (length, width)": lambda n, d: _sinusoids(n, d).T,
            "an odd width lacks its last column, which is a sine": (
                lambda n, d: _sinusoids(n, d)[:, : d - d % 2]
            ),
            "an odd width has a column too many: it ends in a sine": (
                lambda n, d: _sinusoids(n, d + d % 2, exponent=lambda c, _: c / d)
            ),
            "an odd width is left with zeros in its last column, which is a sine": (
                lambda n, d: torch.cat(
                    [_sinusoids(n, d)[:, : d - d % 2], torch.zeros(n, d % 2).double()], 1
                )
            ),
        },
        where="Place p, column c: the sine (c even) or cosine (c odd) of p / 10000^(c/width), "
        "places and columns from 0",
    )
    return "sinusoids: places from 0, sines and cosines in turn, the printed exponents"
