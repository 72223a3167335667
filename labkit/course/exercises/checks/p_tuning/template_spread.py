"""Exercise 3.1: the check of ``template_spread``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import Tolerance


def _spread(right: np.ndarray) -> tuple[float, float]:
    shares = [sum(map(int, row)) / len(row) for row in right]
    middle = sum(shares) / len(shares)
    squares = sum((share - middle) ** 2 for share in shares)
    return math.sqrt(squares / (len(shares) - 1)), max(shares) - min(shares)


@exercise
def check_template_spread(spread: Guarded, draw: Draw) -> str:
    """``spread``: right or wrong (M, N) → standard deviation and range of the M accuracies."""
    first = [[1, 1, 1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1, 0, 0], [1, 0, 0, 1, 0, 1, 1, 0]]
    tables = [np.array(first, dtype=bool)]
    for rows, columns in ((2, 5), (6, 3), (4, 30), (7, 1), (3, 3), (40, 9)):
        tables.append(np.array(draw.uniform(rows, columns) < 0.6))
    shares = torch.tensor([0.2, 0.4, 0.6, 0.9])[:, None]
    tables.append(np.array(draw.uniform(4, 600) < shares))
    tables.append(np.array(draw.uniform(5, 7) < 0.5, dtype=np.int64))
    tables += [np.ones((4, 3), dtype=bool), np.array([[1, 1], [0, 0], [0, 1]], dtype=np.uint8)]

    def deviation(change: Callable[[np.ndarray], float]) -> Callable[..., Any]:
        return lambda t: (float(change(t.astype(float))), _spread(t)[1])

    def width(change: Callable[[np.ndarray], float]) -> Callable[..., Any]:
        return lambda t: (_spread(t)[0], float(change(t.astype(float).mean(1))))

    compare(
        spread,
        [(table,) for table in tables],
        _spread,
        tolerance=Tolerance(1e-5, 1e-6),
        mistakes={
            "this is the spread over sentences: average over each row first, so that every "
            "template has one accuracy": lambda t: _spread(t.T),
            "this is the deviation over sentences, divided by their number: average over each row "
            "first": lambda t: (float(t.mean(0).std()), float(np.ptp(t.mean(0)))),
            "divided by M: these templates are a sample of all that could be written; divide by "
            "M − 1": deviation(lambda t: t.mean(1).std()),
            "this is the deviation of single answers: take that of the accuracies, one a "
            "template": deviation(lambda t: t.std()),
            "this is the deviation of single answers (by M·N − 1): take that of the accuracies, "
            "one a template": deviation(lambda t: t.std(ddof=1)),
            "this is the variance: the deviation is its square root": (
                deviation(lambda t: t.mean(1).var(ddof=1))
            ),
            "this is the variance (divided by M): the deviation is its square root": (
                deviation(lambda t: t.mean(1).var())
            ),
            "this is the standard error: the deviation is not divided by the root of M": (
                deviation(lambda t: t.mean(1).std(ddof=1) / len(t) ** 0.5)
            ),
            "this is the mean absolute deviation: square, average, take the root": (
                deviation(lambda t: np.abs(t.mean(1) - t.mean()).mean())
            ),
            "the deviation is that of numbers of right answers: divide by the sentences": (
                deviation(lambda t: t.sum(1).std(ddof=1))
            ),
            "deviation and range are those of numbers of right answers: divide by the sentences": (
                lambda t: (float(t.sum(1).std(ddof=1)), float(np.ptp(t.sum(1).astype(float))))
            ),
            "the range is the best accuracy minus the worst, not minus the mean": (
                width(lambda a: a.max() - a.mean())
            ),
            "the range is the best accuracy minus the worst; this is the best": (
                width(lambda a: a.max())
            ),
            "the range is the best accuracy minus the worst; this is the first minus the last": (
                width(lambda a: a[0] - a[-1])
            ),
            "the range has the wrong sign: the best accuracy minus the worst": (
                width(lambda a: a.min() - a.max())
            ),
            "the range is over single answers: the best accuracy minus the worst": (
                lambda t: (_spread(t)[0], float(t.max()) - float(t.min()))
            ),
            "range and deviation are exchanged: the deviation comes first": (
                lambda t: _spread(t)[::-1]
            ),
            "these are per cent: give shares": lambda t: tuple(100 * x for x in _spread(t)),
        },
        where="One accuracy for each row; their standard deviation with M − 1, and the best minus "
        "the worst",
    )
    return "spread over templates: one accuracy each, deviation by M − 1, best minus worst"
