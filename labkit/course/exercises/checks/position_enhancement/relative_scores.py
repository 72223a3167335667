"""Exercise 5.2: the check of ``relative_scores``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded


def _by_pairs(
    queries: Tensor,
    table: Tensor,
    distance: Callable[[int, int], int] = lambda i, j: j - i,
    asks: Callable[[int, int], int] = lambda i, j: i,
) -> Tensor:
    count = len(queries)
    rows = [
        [
            (queries[asks(i, j)].double() * table[distance(i, j) + count - 1].double()).sum()
            for j in range(count)
        ]
        for i in range(count)
    ]
    return torch.stack([torch.stack(row) for row in rows])


@exercise
def check_relative_scores(scores: Guarded, draw: Draw) -> str:
    """``scores``: queries (P, d), table (2P−1, d) → (P, P); row j−i+P−1 for i looking at j."""
    shapes = [(4, 3), (3, 3), (1, 2), (5, 4), (2, 6), (7, 1), (40, 3)]
    cases = [(draw.normal(p, d), draw.normal(2 * p - 1, d)) for p, d in shapes]

    def distance(rule: Callable[[int, int], int]):
        return lambda q, t: _by_pairs(q, t, rule)

    def skewed(q, t):
        return torch.stack([(t[: len(q)] @ row) for row in q])

    compare(
        scores,
        cases,
        _by_pairs,
        mistakes={
            "left and right are exchanged: the distance from i to j is j − i, positive to the "
            "right": distance(lambda i, j: i - j),
            "the sign of the distance is lost: left and right have rows of their own": (
                distance(lambda i, j: abs(j - i))
            ),
            "the sign of the distance is lost: both sides use the rows of the left": (
                distance(lambda i, j: -abs(j - i))
            ),
            "divided by sqrt(d): equation 5 has no such factor": (
                lambda q, t: _by_pairs(q, t) / q.shape[1] ** 0.5
            ),
            "every place uses the same P rows of the table, its middle and what follows: which "
            "row counts depends on i and j": lambda q, t: q @ t[len(q) - 1 :].T,
            "every place uses the same P rows of the table, its first ones: which row counts "
            "depends on i and j": lambda q, t: q @ t[: len(q)].T,
            "a column for each row of the table comes back, shape (P, 2P−1): for each pair pick "
            "row j − i + P − 1, (P, P)": lambda q, t: q @ t.T,
            "the rows are off by one: distance 0 is the middle row, P − 1": (
                lambda q, t: _by_pairs(q, t.roll(-1, 0))
            ),
            "the rows are off by one the other way: distance 0 is the middle row, P − 1": (
                lambda q, t: _by_pairs(q, t.roll(1, 0))
            ),
            "the row is j − i without P − 1: a negative number counts from the end of the table": (
                lambda q, t: _by_pairs(q, t.roll(len(q) - 1, 0))
            ),
            "the row is i − j without P − 1: a negative number counts from the end of the table": (
                lambda q, t: _by_pairs(q, t.roll(len(q) - 1, 0), lambda i, j: i - j)
            ),
            "the query of j was taken: row i is place i looking at j": (
                lambda q, t: _by_pairs(q, t, asks=lambda i, j: j)
            ),
            "rows and columns are exchanged: row i looks at column j": (
                lambda q, t: _by_pairs(q, t).T
            ),
            "the first term is in it: the second one alone is asked for": (
                lambda q, t: q @ q.T + _by_pairs(q, t)
            ),
            "places to the right are set to zero: every pair has its score": (
                lambda q, t: _by_pairs(q, t).tril()
            ),
            "the softmax comes later, together with the first term": (
                lambda q, t: _by_pairs(q, t).softmax(-1)
            ),
            "this is the product of the queries with each other, the first term": (
                lambda q, t: q @ q.T
            ),
            "this is the mean over the axis, not its sum": (
                lambda q, t: _by_pairs(q, t) / q.shape[1]
            ),
            "the vectors of the table are there, not their products with the query": (
                lambda q, t: torch.stack(
                    [torch.stack([t[j - i + len(q) - 1] for j in range(len(q))])
                     for i in range(len(q))]
                )
            ),
            "the products are not summed over the last axis": (
                lambda q, t: torch.stack(
                    [torch.stack([q[i] * t[j - i + len(q) - 1] for j in range(len(q))])
                     for i in range(len(q))]
                )
            ),
        },
        where="Entry (i, j) is the product of query i with the table's row j − i + P − 1",
    )  # fmt: skip
    return "relative scores: each pair by its signed distance"
