"""Exchanges of two virtual tokens: what one gradient foretells of all of them, and what is true."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from torch import Tensor

from labkit.core.scoring import Progress
from labkit.lstm_sorter.objectives import Objective
from labkit.lstm_sorter.sorters import Order


def promising_pairs(rows: Tensor, gradient: Tensor) -> list[tuple[int, int]]:
    """Pairs of places, the one whose exchange should lower the loss most first.

    Args:
        rows, gradient: (P, D) the prompt as it stands, and the loss's gradient there.
    """
    changes = predicted_changes(rows, gradient)
    pairs = list(itertools.combinations(range(len(rows)), 2))
    return sorted(pairs, key=lambda pair: changes[pair].item())


def predicted_changes(rows: Tensor, gradient: Tensor) -> Tensor:
    """What exchanging rows i and j does to the loss, to first order: (P, P), symmetric.

    (g_i − g_j) · (p_j − p_i), from one gradient for all pairs.

    Args:
        rows, gradient: (P, D) the prompt as it stands, and the loss's gradient there.
    """
    products = gradient @ rows.T  # (P, P) g_i · p_j
    at_home = products.diagonal()
    return products + products.T - at_home[:, None] - at_home[None]


class PairChanges(NamedTuple):
    """Change of the loss for each exchange of two virtual tokens, predicted and measured.

    ``pairs``: all i < j, P (P − 1) / 2 of them; the others: one number for each.
    """

    pairs: list[tuple[int, int]]
    predicted: list[float]
    measured: list[float]


def pair_changes(objective: Objective, on_progress: Progress | None = None) -> PairChanges:
    """Exchange every two virtual tokens of the order given, and see what one gradient foretold.

    Costs ``3 + P (P − 1) / 2`` times the objective's sentences in forward passes.

    Args:
        on_progress: called with (exchanges tried, exchanges in all).
    """
    given: Order = tuple(range(len(objective.vectors)))
    pairs = list(itertools.combinations(given, 2))
    loss = objective.evaluate(given)
    changes = predicted_changes(objective.vectors, objective.gradient(given))
    measured = []
    for count, pair in enumerate(pairs, start=1):
        measured.append(objective.evaluate(swapped(given, *pair)) - loss)
        if on_progress is not None:
            on_progress(count, len(pairs))
    return PairChanges(pairs, [changes[pair].item() for pair in pairs], measured)


def swapped(order: Order, i: int, j: int) -> Order:
    changed = list(order)
    changed[i], changed[j] = changed[j], changed[i]
    return tuple(changed)
