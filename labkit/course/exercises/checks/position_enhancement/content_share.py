"""Exercise 5.4: the check of ``content_share``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import Tolerance


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
