"""Exercise 6.5: the check of ``swap_changes``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import Tolerance


def _changes(vectors: Tensor, gradient: Tensor) -> Tensor:
    """By the definition: the swapped prompt minus the prompt, times the gradient."""
    p, g = vectors.double(), gradient.double()
    rows = torch.zeros(len(p), len(p), dtype=torch.float64)
    for i in range(len(p)):
        for j in range(len(p)):
            swapped = p.clone()
            swapped[i], swapped[j] = p[j], p[i]
            rows[i, j] = ((swapped - p) * g).sum()
    return rows


def _products(p: Tensor, g: Tensor) -> Tensor:
    return g.double() @ p.double().T  # (P, P) g_i · p_j


@exercise
def check_swap_changes(changes: Guarded, draw: Draw) -> str:
    """``changes``: prompt (P, D), gradient (P, D) → change of the loss for each swap (P, P)."""
    sizes = [(3, 2), (5, 4), (4, 4), (1, 3), (2, 6), (8, 1), (20, 7), (3, 3)]
    cases: list[tuple[Tensor, Tensor]] = [
        (torch.eye(3), torch.tensor([[1.0, 0, 0], [0, 2, 0], [0, 0, 4]]))
    ]
    cases += [(draw.normal(*size), 2 * draw.normal(*size)) for size in sizes]
    cases.append((draw.normal(4, 3), torch.ones(4, 3)))

    def of(formula: Callable[[Tensor, Tensor], Tensor]):
        return lambda p, g: formula(p.double(), g.double())

    def one_row(p: Tensor, g: Tensor) -> Tensor:
        products = g @ p.T
        return products - products.diagonal()[:, None]

    def distances(p: Tensor, g: Tensor) -> Tensor:
        return (p[:, None] - p[None]).square().sum(-1)

    def summed(p: Tensor, g: Tensor) -> Tensor:
        return (g[:, None] + g[None]).mul(p[None] - p[:, None]).sum(-1)

    compare(
        changes,
        cases,
        _changes,
        tolerance=Tolerance(1e-4, 1e-4),
        mistakes={
            "the sign is turned: (g_i − g_j) · (p_j − p_i), place i gets p_j": (
                lambda p, g: -_changes(p, g)
            ),
            "only row i is followed: row j changes, too, and gets p_i": of(one_row),
            "only row j is followed: row i changes, too, and gets p_j": of(
                lambda p, g: one_row(p, g).T
            ),
            "the two gradients are added: place i moves by p_j − p_i, place j the other way, so "
            "they are subtracted": of(summed),
            "each pair counts half: the sum of both places' changes": (
                lambda p, g: _changes(p, g) / 2
            ),
            "each pair counts twice": lambda p, g: 2 * _changes(p, g),
            "the gradient is not used: these are squared distances of the rows": of(distances),
            "the vectors are not used: these are squared distances of the gradients": of(
                lambda p, g: distances(g, p)
            ),
            "the products of the width are not summed, shape (P, P, D): over the last axis": of(
                lambda p, g: (g[:, None] - g[None]) * (p[None] - p[:, None])
            ),
            "this is the mean over the width: the sum": (lambda p, g: _changes(p, g) / p.shape[1]),
            "these are the products g_i · p_j alone: what stood there before is taken away": (
                _products
            ),
            "what the places had before is not taken away: minus g_i · p_i and g_j · p_j": (
                lambda p, g: _products(p, g) + _products(p, g).T
            ),
            "only i < j is filled in: a swap of j and i is the same swap": (
                lambda p, g: _changes(p, g).triu()
            ),
            "only j < i is filled in: a swap of i and j is the same swap": (
                lambda p, g: _changes(p, g).tril()
            ),
            "the signs are lost: a swap may lower the loss": lambda p, g: _changes(p, g).abs(),
            "these are normalised (cosines): a change of the loss has the size of both": of(
                lambda p, g: torch.nn.functional.cosine_similarity(
                    g[:, None] - g[None], p[None] - p[:, None], dim=-1
                )
            ),
        },
        where="Entry (i, j) is (g_i − g_j) · (p_j − p_i), summed over the width",
    )
    return "swaps: the change of the loss to first order, for every pair at once"
