"""Checks of notebook 05_position_enhancement."""

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

# ---- 5.1 ----


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


# ---- 5.2 ----


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


# ---- 5.3 ----


def _attend(
    q: Tensor, k: Tensor, v: Tensor, r: Tensor, scale: float = 1.0, sign: float = 1.0
) -> Tensor:
    q, k, v, r = (each.double() for each in (q, k, v, r))
    rows = []
    for i in range(len(q)):
        scores = [float(q[i] @ k[j]) * scale + sign * float(r[i, j]) for j in range(len(k))]
        top = max(scores)
        weights = [math.exp(score - top) for score in scores]
        rows.append(sum(w * v[j] for j, w in enumerate(weights)) / sum(weights))
    return torch.stack(rows)


@exercise
def check_head(head: Guarded, draw: Draw) -> str:
    """``head``: queries, keys, values (P, d), relative scores (P, P) → (P, d)."""
    cases = []
    for p, d in ((4, 3), (5, 4), (1, 3), (3, 3), (2, 5), (6, 1), (12, 2)):
        each = [draw.normal(p, d) for _ in range(3)]
        cases.append((*each, draw.normal(p, p)))
    cases.append((*(draw.normal(4, 3) for _ in range(3)), torch.zeros(4, 4)))
    far = torch.full((4, 4), -1e9).masked_fill(torch.eye(4).bool().roll(1, 1), 0.0)
    cases.append((*(draw.normal(4, 3) for _ in range(3)), far))
    cases.append(
        (*(30 * draw.normal(3, 4) for _ in range(2)), draw.normal(3, 4), draw.normal(3, 3))
    )

    def mixed(weights: Callable[..., Tensor]):
        return lambda q, k, v, r: weights(q, k, r) @ v

    compare(
        head,
        cases,
        _attend,
        tolerance=Tolerance(1e-3, 1e-4),
        mistakes={
            "the scores are divided by sqrt(d): equation 5 has no such factor": (
                lambda q, k, v, r: _attend(q, k, v, r, q.shape[1] ** -0.5)
            ),
            "all scores are divided by sqrt(d), the relative ones too: equation 5 has no such "
            "factor": mixed(lambda q, k, r: ((q @ k.T + r) / q.shape[1] ** 0.5).softmax(-1)),
            "the scores are divided by d: equation 5 has no such factor": (
                lambda q, k, v, r: _attend(q, k, v, r, 1 / q.shape[1])
            ),
            "the softmax runs over the places that ask: each place shares out its own attention, "
            "so take it over the last axis": mixed(lambda q, k, r: (q @ k.T + r).softmax(0)),
            "the softmax runs over all pairs: each place shares out its own attention, so take it "
            "over the last axis": mixed(
                lambda q, k, r: (q @ k.T + r).flatten().softmax(0).reshape(r.shape)
            ),
            "the weights are not normalised: take the softmax of the scores": (
                mixed(lambda q, k, r: q @ k.T + r)
            ),
            "the relative scores are left out: add them to the scores before the softmax": (
                lambda q, k, v, r: _attend(q, k, v, 0 * r)
            ),
            "the relative scores come after the softmax: add them to the scores before it": (
                mixed(lambda q, k, r: (q @ k.T).softmax(-1) + r)
            ),
            "each of the two scores has its own softmax: add them before it": (
                mixed(lambda q, k, r: (q @ k.T).softmax(-1) + r.softmax(-1))
            ),
            "the relative scores are subtracted: add them": (
                lambda q, k, v, r: _attend(q, k, v, r, sign=-1.0)
            ),
            "the relative scores multiply: add them to the scores": (
                mixed(lambda q, k, r: (q @ k.T * r).softmax(-1))
            ),
            "the relative scores are exchanged, row for column": (
                lambda q, k, v, r: _attend(q, k, v, r.T)
            ),
            "queries and keys are exchanged: row i of the scores is query i": (
                lambda q, k, v, r: _attend(k, q, v, r)
            ),
            "keys are mixed in the place of values": lambda q, k, v, r: _attend(q, k, k, r),
            "queries are mixed in the place of values": lambda q, k, v, r: _attend(q, k, q, r),
            "values are compared in the place of keys": lambda q, k, v, r: _attend(q, v, v, r),
            "keys and values are exchanged": lambda q, k, v, r: _attend(q, v, k, r),
            "queries are compared with queries: the keys are not used": (
                lambda q, k, v, r: _attend(q, q, v, r)
            ),
            "the scores alone are used, the queries and keys are left out": (
                mixed(lambda q, k, r: r.softmax(-1))
            ),
            "the weights are transposed: row i mixes the values for place i": (
                mixed(lambda q, k, r: (q @ k.T + r).softmax(-1).T)
            ),
            "the weights come back: mix the values with them": (
                lambda q, k, v, r: (q @ k.T + r).softmax(-1)
            ),
            "a sigmoid weighs each place by itself: softmax shares out one attention": (
                mixed(lambda q, k, r: (q @ k.T + r).sigmoid())
            ),
            "the softmax's sum runs over all pairs: each place shares out its own attention, "
            "so divide by the sum of its row": mixed(
                lambda q, k, r: (q @ k.T + r).exp() / (q @ k.T + r).exp().sum()
            ),
            "the value with the highest score alone is taken: mix them": (
                lambda q, k, v, r: v[(q @ k.T + r).argmax(-1)]
            ),
            "the values are added to the mixture: the equation gives the mixture alone": (
                lambda q, k, v, r: _attend(q, k, v, r) + v
            ),
            "places to the right are hidden, as in a causal model: this module sees both sides": (
                mixed(
                    lambda q, k, r: (
                        (q @ k.T + r)
                        .masked_fill(torch.ones_like(r).triu(1).bool(), -torch.inf)
                        .softmax(-1)
                    )
                )
            ),
        },
        where="softmax over the last axis of (queries · keysᵀ + relative), times the values",
    )
    return "one head: scores without a factor, softmax over what is looked at, values mixed"


# ---- 5.4 ----


def _variance(matrix: Tensor, about: float | None = None) -> float:
    entries = matrix.double().flatten().tolist()
    middle = sum(entries) / len(entries) if about is None else about
    return sum((entry - middle) ** 2 for entry in entries) / len(entries)


def _share(content: Tensor, added: Tensor) -> float:
    return _variance(content) / _variance(content.double() + added.double())


@exercise
def check_content_share(share: Guarded, draw: Draw) -> str:
    """``share``: content (P, D), what is added (P, D) → share of the sum's variance."""
    content = draw.normal(5, 4)
    cases = [(content, 2 * content), (content, draw.normal(5, 4)), (content, 0 * content)]
    cases += [(content, torch.full_like(content, 5.0)), (draw.normal(1, 7), draw.normal(1, 7))]
    cases += [(draw.normal(30, 2) + 3, 2 * draw.normal(30, 2) - 1) for _ in range(2)]
    cases += [(draw.normal(6, 1), 0.1 * draw.normal(6, 1)), (content + 2, -0.5 * content)]
    cases.append((draw.normal(4, 3) + 3 * torch.tensor([1.0, 2.0, 3.0]), draw.normal(4, 3)))

    def of(formula: Callable[[Tensor, Tensor], Any]):
        return lambda c, a: formula(c.double(), a.double())

    def number(formula: Callable[[Tensor, Tensor], Any]):
        return lambda c, a: float(formula(c.double(), a.double()))

    compare(
        share,
        cases,
        _share,
        tolerance=Tolerance(1e-3, 1e-4),
        mistakes={
            "this is a ratio of standard deviations: variances are their squares": (
                number(lambda c, a: c.std() / (c + a).std())
            ),
            "divided by the variance of what is added: divide by that of the sum": (
                number(lambda c, a: c.var() / a.var())
            ),
            "divided by the sum of the two variances: two variances add up only if what they "
            "belong to is unrelated; add first": number(lambda c, a: c.var() / (c.var() + a.var())),
            "this is the share of what was added: the content's is asked for": (
                number(lambda c, a: a.var() / (c + a).var())
            ),
            "this is 1 minus the share of what was added: the content's variance is asked for": (
                number(lambda c, a: 1 - a.var() / (c + a).var())
            ),
            "upside down: the content stands above the line, the sum below it": (
                number(lambda c, a: (c + a).var() / c.var())
            ),
            "these are means of squares: a variance is taken about the mean, a mean of squares is "
            "not": number(lambda c, a: (c**2).mean() / ((c + a) ** 2).mean()),
            "one share for each column comes back: one number, over all entries of the matrix": (
                of(lambda c, a: c.var(0) / (c + a).var(0))
            ),
            "one share for each row comes back: one number, over all entries of the matrix": (
                of(lambda c, a: c.var(1) / (c + a).var(1))
            ),
            "this is the mean of the columns' shares: one variance, over all entries of the "
            "matrix": number(lambda c, a: (c.var(0) / (c + a).var(0)).mean()),
            "this is the mean of the rows' shares: one variance, over all entries of the matrix": (
                number(lambda c, a: (c.var(1) / (c + a).var(1)).mean())
            ),
            "the variance is taken column by column and then averaged: over all entries of the "
            "matrix": number(lambda c, a: c.var(0).mean() / (c + a).var(0).mean()),
            "the variance is taken row by row and then averaged: over all entries of the matrix": (
                number(lambda c, a: c.var(1).mean() / (c + a).var(1).mean())
            ),
            "what is added was subtracted": number(lambda c, a: c.var() / (c - a).var()),
            "these are sums of absolute values: variances are asked for": (
                number(lambda c, a: c.abs().sum() / (c + a).abs().sum())
            ),
            "one variance is divided by N, the other by N − 1: the same for both": (
                number(lambda c, a: c.var(correction=0) / (c + a).var())
            ),
            "one variance is divided by N − 1, the other by N: the same for both": (
                number(lambda c, a: c.var() / (c + a).var(correction=0))
            ),
            "this is a ratio of lengths: a variance is about the mean, and squared": (
                number(lambda c, a: c.norm() / (c + a).norm())
            ),
            "this is a ratio of mean absolute deviations: a variance squares them": (
                number(
                    lambda c, a: (c - c.mean()).abs().mean() / (c + a - (c + a).mean()).abs().mean()
                )
            ),
            "this is the share in per cent": lambda c, a: 100 * _share(c, a),
            "the share is cut at 1: it may be larger where what is added takes content away": (
                lambda c, a: min(1.0, _share(c, a))
            ),
            "this is the correlation of the content with the sum, squared: the share is a ratio "
            "of variances": number(
                lambda c, a: (
                    torch.corrcoef(torch.stack([c.flatten(), (c + a).flatten()]))[0, 1] ** 2
                )
            ),
        },
        where="The variance of all entries of the content, divided by that of all entries of "
        "content + added",
    )
    return "content's share: its variance over the variance of the sum"
