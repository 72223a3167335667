"""Exercise 8.3: the check of ``task_similarity``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import Tolerance


def _cosine(x: list[float], y: list[float]) -> float:
    product = sum(a * b for a, b in zip(x, y, strict=True))
    return product / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))


def _of_means(a: Tensor, b: Tensor) -> float:
    return _cosine(*(torch.stack(list(p.double())).mean(0).tolist() for p in (a, b)))


@exercise
def check_task_similarity(similarity: Guarded, draw: Draw) -> str:
    """``similarity``: prompts (P, D) and (Q, D) → cosine of their mean virtual tokens."""
    shapes = [(4, 7, 6), (3, 3, 4), (1, 5, 3), (5, 1, 3), (1, 1, 8), (20, 20, 2), (6, 6, 6)]
    cases = [(draw.normal(p, d), draw.normal(q, d)) for p, q, d in shapes]
    cases += [(3 * draw.normal(4, 5) + 2, 0.01 * draw.normal(2, 5)) for _ in range(2)]
    cases += [(torch.eye(3)[:2], torch.eye(3)[1:]), (torch.eye(3), -torch.eye(3))]
    same = draw.normal(3, 4)
    cases += [(same, same), (same, 7 * same), (same, same.flip(0))]
    cosine = nn.functional.cosine_similarity

    def pairs(a: Tensor, b: Tensor) -> Tensor:
        return nn.functional.normalize(a, dim=-1) @ nn.functional.normalize(b, dim=-1).T

    def laid_out(a: Tensor, b: Tensor) -> Any:
        return float(cosine(a.flatten(), b.flatten(), dim=0))

    def of(make: Callable[[Tensor], Tensor]):
        return lambda a, b: _cosine(make(a).tolist(), make(b).tolist())

    compare(
        similarity,
        cases,
        _of_means,
        tolerance=Tolerance(1e-4, 2e-5),
        mistakes={
            "prompts of different lengths are laid out flat, and can't be compared: average over "
            "the tokens first, then both are one row of width D": laid_out,
            "this is the mean of all pairwise cosines: take the means first, then one cosine": (
                lambda a, b: float(pairs(a, b).mean())
            ),
            "this is the largest of all pairwise cosines: take the means first, then one cosine": (
                lambda a, b: float(pairs(a, b).max())
            ),
            "the tokens are compared one by one: average over them first, prompts may have "
            "different lengths": lambda a, b: float(cosine(a, b, dim=-1).mean()),
            "the tokens are compared one by one, each column by itself: average over them first": (
                lambda a, b: float(cosine(a, b, dim=0).mean())
            ),
            "one cosine per pair of tokens comes back: average over the tokens first": pairs,
            "the product is not divided by the two lengths: it is no cosine yet": (
                lambda a, b: float(a.mean(0) @ b.mean(0))
            ),
            "the product is divided by the squares of the lengths": (
                lambda a, b: float(
                    a.mean(0) @ b.mean(0) / ((a.mean(0) ** 2).sum() * (b.mean(0) ** 2).sum())
                )
            ),
            "divided by one of the two lengths: by both": (
                lambda a, b: float(a.mean(0) @ b.mean(0) / a.mean(0).norm())
            ),
            "divided by the length of the second alone: by both": (
                lambda a, b: float(a.mean(0) @ b.mean(0) / b.mean(0).norm())
            ),
            "this is a distance: a cosine looks at the direction only": (
                lambda a, b: float((a.mean(0) - b.mean(0)).norm())
            ),
            "this is a likeness by distance, 1 / (1 + distance): a cosine looks at the direction "
            "only": lambda a, b: 1 / (1 + float((a.mean(0) - b.mean(0)).norm())),
            "this is one minus the distance: a cosine looks at the direction only": (
                lambda a, b: 1 - float((a.mean(0) - b.mean(0)).norm())
            ),
            "this is one minus the cosine: the cosine itself is asked for": (
                lambda a, b: 1 - _of_means(a, b)
            ),
            "this is the distance with its sign turned: a cosine looks at the direction only": (
                lambda a, b: -float((a.mean(0) - b.mean(0)).norm())
            ),
            "the medians over the virtual tokens are compared: average over them": (
                lambda a, b: _cosine(a.median(0).values.tolist(), b.median(0).values.tolist())
            ),
            "negative cosines became 0: opposite prompts have −1": (
                lambda a, b: max(0.0, _of_means(a, b))
            ),
            "this is the size of the cosine without its sign": lambda a, b: abs(_of_means(a, b)),
            "the mean runs over the columns: average over the virtual tokens, the rows": (
                lambda a, b: _cosine(a.mean(1).tolist(), b.mean(1).tolist())
            ),
            "this is the correlation: a cosine does not take the mean over the width away": (
                of(lambda p: p.mean(0) - p.mean(0).mean())
            ),
            "only the first virtual token is compared: average over all": of(lambda p: p[0]),
            "only the last virtual token is compared: average over all": of(lambda p: p[-1]),
            "the largest entries over the tokens are compared: average over them": (
                of(lambda p: p.max(0).values)
            ),
            "each token was given length one before averaging: average the tokens as they are": (
                of(lambda p: nn.functional.normalize(p, dim=-1).mean(0))
            ),
            "the longer prompt was cut to the shorter: average over all virtual tokens": (
                lambda a, b: _of_means(a[: min(len(a), len(b))], b[: min(len(a), len(b))])
            ),
            "this is the angle: its cosine is asked for": lambda a, b: math.acos(
                max(-1.0, min(1.0, _of_means(a, b)))
            ),
        },
        where="Average over the virtual tokens (the rows) of each, then one cosine",
    )
    return "task similarity: one direction per prompt, any length, any order"
