"""What a search has tried: each order once, the best one remembered, at a counted cost."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from labkit.core.scoring import Progress
from labkit.lstm_sorter.objectives import Objective
from labkit.lstm_sorter.sorters import Order, is_permutation

CHECK_SHARE = 1 / 3
"""Of all that has been spent, the part that may go into scoring orders on the sample while a method
trains."""


@dataclass
class BestOrder:
    """What a search came to.

    Attributes:
        order: the best one that the method tried, chosen on the sample; the given order is among
            them for ``swap``, which starts from it, and where it was asked to be.
        loss_before, loss: of the given order and of ``order``, on the sample.
        forward_passes: spent; history: (forward passes spent, lowest loss so far).
    """

    loss_before: float
    order: Order = ()
    loss: float = math.inf
    forward_passes: int = 0
    history: list[tuple[int, float]] = field(default_factory=list)

    @property
    def is_permutation(self) -> bool:
        return is_permutation(self.order)


class Trials:
    """Evaluates orders, each once, and remembers the best."""

    def __init__(
        self, objective: Objective, budget: int, on_progress: Progress | None = None
    ) -> None:
        self.objective, self.budget, self.on_progress = objective, budget, on_progress
        self.start = objective.spent
        self.given: Order = tuple(range(len(objective.vectors)))
        self.known = {self.given: objective.evaluate(self.given)}
        self.best = BestOrder(self.known[self.given])
        self.checked = 0

    @property
    def prompt(self) -> Callable[[], Tensor]:
        return lambda: self.objective.vectors

    @property
    def spent(self) -> int:
        return self.objective.spent - self.start

    def affords(self, cost: int) -> bool:
        return self.spent + cost <= self.budget

    def evaluate(self, order: Order) -> float:
        if order not in self.known:
            self.known[order] = self.objective.evaluate(order)
        self.propose(order)
        return self.known[order]

    def propose(self, order: Order) -> None:
        """Keep an order of known loss if it is the best one yet."""
        if self.known[order] < self.best.loss:
            self.best.order, self.best.loss = order, self.known[order]
            self.best.history.append((self.spent, self.best.loss))
        if self.on_progress is not None:
            self.on_progress(self.spent, self.budget)

    def check(self, order: Order) -> None:
        """Score the order that training has come to, where its turn has come.

        The score of the last order must remain affordable.
        """
        size = self.objective.size
        due = self.checked + size <= CHECK_SHARE * self.spent
        if due and self.affords(2 * size) and order not in self.known:
            self.evaluate(order)
            self.checked += size
