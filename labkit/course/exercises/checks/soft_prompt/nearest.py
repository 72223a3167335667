"""Exercise 2.4: the check of ``nearest``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare, require
from labkit.course.exercises.guard import Guarded


def _cosines(table: Tensor, vectors: Tensor) -> Tensor:
    table, vectors = table.double(), vectors.double()
    rows = [
        torch.stack([(v @ e) / ((v @ v) ** 0.5 * (e @ e) ** 0.5) for e in table]) for v in vectors
    ]
    return torch.stack(rows)


def _by(scores: Tensor, k: int) -> Tensor:
    return torch.tensor([sorted(range(len(r)), key=lambda i: -r[i])[:k] for r in scores.tolist()])


def _clear_order(table: Tensor, vectors: Tensor) -> bool:
    gaps = _cosines(table, vectors).sort(-1).values.diff(dim=-1)
    return bool((gaps > 1e-5).all())


def _no_index(ids: Any) -> str | None:
    """The type of ids that rows can't be looked up by."""
    if isinstance(ids, list | tuple):
        return next((kind for kind in map(_no_index, ids) if kind is not None), None)
    if isinstance(ids, Tensor):
        fits = ids.dtype in (torch.int32, torch.int64)
    elif isinstance(ids, np.ndarray | np.generic):
        fits = ids.dtype.kind in "iu" and ids.dtype != np.uint8  # which torch takes for a mask
    else:
        fits = isinstance(ids, int)
    kind = getattr(ids, "dtype", type(ids).__name__)
    return None if fits else str(kind).removeprefix("torch.")


@exercise
def check_nearest(nearest: Guarded, draw: Draw) -> str:
    """``nearest``: table (V, D), vectors (P, D), k → (P, k) ids by cosine, nearest first."""
    first = torch.tensor([[10.0, 0.0], [0.6, 0.8], [0.0, 0.1], [-3.0, -3.0], [5.0, 5.1]])
    cases = [(first, torch.tensor([[1.0, 1.0], [0.0, 2.0]]), 2)]
    shapes = [
        (12, 4, 5, 3),
        (9, 3, 1, 1),
        (9, 3, 4, 9),
        (12, 4, 5, 1),
        (300, 6, 2, 4),
        (6, 4, 6, 6),
    ]
    for size, width, count, k in shapes:
        table, vectors = draw.normal(size, width), 7 * draw.normal(count, width)
        while not _clear_order(table, vectors):
            table = draw.normal(size, width)
        table = table * torch.tensor([0.2 + 5 * draw.plain.random() for _ in range(size)])[:, None]
        cases.append((table, vectors + 2, k))

    def right(table: Tensor, vectors: Tensor, k: int) -> Tensor:
        return _by(_cosines(table, vectors), k)

    def centred(t, v, k):
        rows = t - t.mean(1, keepdim=True), v - v.mean(1, keepdim=True)
        return _by(_cosines(*rows), k)

    compare(
        nearest,
        cases,
        right,
        mistakes={
            "these are the largest products, which favour long vectors: divide by both lengths": (
                lambda t, v, k: _by(v @ t.T, k)
            ),
            "these are the smallest distances: the cosine ignores lengths": (
                lambda t, v, k: _by(-torch.cdist(v, t), k)
            ),
            "these have the smallest cosines: the nearest have the largest": (
                lambda t, v, k: _by(-_cosines(t, v), k)
            ),
            "right ids, but the nearest should come first": (
                lambda t, v, k: right(t, v, k).flip(1)
            ),
            "these are the cosines: return the row numbers that go with them": (
                lambda t, v, k: _cosines(t, v).sort(-1, descending=True).values[:, :k]
            ),
            "the ids of each row are sorted by number: the nearest should come first": (
                lambda t, v, k: right(t, v, k).sort(-1).values
            ),
            "the size of the cosine without its sign was taken: −1 is the opposite direction": (
                lambda t, v, k: _by(_cosines(t, v).abs(), k)
            ),
            "the columns were normalised, not the rows: each vector has one length": (
                lambda t, v, k: _by(
                    nn.functional.normalize(v, dim=0) @ nn.functional.normalize(t, dim=0).T, k
                )
            ),
            "a column per virtual token: (P, k) has a row for each": (
                lambda t, v, k: right(t, v, k).T
            ),
            "this is the correlation: a cosine does not take the mean away": centred,
            "the nearest is left out: begin with it": (
                lambda t, v, k: _by(_cosines(t, v), k + 1)[:, 1:]
            ),
            "divided by the squares of the lengths: the length is the square root": (
                lambda t, v, k: _by((v @ t.T) / (t**2).sum(1), k)
            ),
            "these are the nearest virtual tokens of each entry: it is the other way round": (
                lambda t, v, k: _by(_cosines(v, t), k)
            ),
        },
        where="Row p: the numbers of the k table rows with the highest cosine to vector p, the "
        "highest first",
    )
    for case in cases:
        kind = _no_index(nearest(*case))
        require(
            kind is None,
            f"the ids are of type {kind}, which finds no row of a table: give whole numbers of 32 "
            "or 64 bits, as topk and argsort do",
        )
    return "nearest entries by cosine, nearest first"
