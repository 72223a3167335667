"""Searches for an order, behind one interface and at one budget.

The budget is counted in forward passes of the backbone: one sentence through the model is one pass,
whether or not keys and values were shared, and a backward pass counts as one more (with frozen
weights it does about a forward pass's work).

Usage::

    find_order(objective, "swap", budget=9_600)
    search(model, prompt, task, "swap", budget=57_600)         # and its score on test
"""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from labkit.core.errors import LabError
from labkit.core.prompted_model import Evaluation, PromptedModel, evaluate
from labkit.core.tasks import Task
from labkit.lstm_sorter.objectives import Objective, PromptLoss
from labkit.lstm_sorter.sorters import LSTMSorter, Order, SinkhornSorter, sortable
from labkit.position_enhancement import PositionEnhancement
from labkit.soft_prompt import SoftPrompt

OnProgress = Callable[[int, int], None]
"""Called with (forward passes spent, budget)."""

SENTENCES = 96
BUDGET = 600 * SENTENCES
PAIRS_AT_ONCE = 8
CHECK_SHARE = 1 / 3
"""Of what a sorter's training has spent, the part that may go into scoring orders on the sample."""

LSTM_LEARNING_RATE, SINKHORN_LEARNING_RATE = 1e-3, 0.1


@dataclass
class Found:
    """What a search came to.

    Attributes:
        order: the best one that the method tried, chosen on the sample. The given order is not
            among them, except for ``swap``, which starts from it.
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
        return len(set(self.order)) == len(self.order)


def find_order(
    objective: Objective,
    method: str,
    *,
    budget: int,
    seed: int = 0,
    positions: bool = False,
    on_progress: OnProgress | None = None,
) -> Found:
    """Look for the order with the lowest loss, within ``budget`` forward passes.

    Args:
        method: ``random``: orders drawn at random; ``swap``: gradient-guided swaps; ``lstm``,
            ``lstm-printed``: the sorter, as a permutation or as printed; ``lstm-taught``: the same,
            after it was taught the given order (:func:`teach`); ``sinkhorn``.
        positions: position enhancement for the sorter.

    Raises:
        LabError: for an unknown method, positions where there is no sorter, or a budget too small
            for one order besides the given one.
    """
    if method not in METHODS:
        raise LabError(f"method={method!r} is unknown; choose one of {', '.join(METHODS)}")
    if positions and not method.startswith("lstm"):
        raise LabError(f"positions are for the lstm sorter; the method {method!r} reads none")
    if budget < 2 * objective.size:
        raise LabError(
            f"budget={budget} forward passes is not enough to score the given order and another "
            f"one on {objective.size} sentences; give at least {2 * objective.size}"
        )
    sortable(lambda: objective.vectors)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        run = _Search(objective, budget, on_progress)
        METHODS[method](run, positions)
    run.found.forward_passes = run.spent
    return run.found


class _Search:
    """Evaluates orders, each once, and remembers the best."""

    def __init__(
        self, objective: Objective, budget: int, on_progress: OnProgress | None = None
    ) -> None:
        self.objective, self.budget, self.on_progress = objective, budget, on_progress
        self.start = objective.spent
        self.given: Order = tuple(range(len(objective.vectors)))
        self.known = {self.given: objective.evaluate(self.given)}
        self.found = Found(self.known[self.given])

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
        if self.known[order] < self.found.loss:
            self.found.order, self.found.loss = order, self.known[order]
            self.found.history.append((self.spent, self.found.loss))
        if self.on_progress is not None:
            self.on_progress(self.spent, self.budget)


def _random(run: _Search, _positions: bool) -> None:
    count = len(run.given)
    while run.affords(run.objective.size) and len(run.known) < math.factorial(count):
        order = tuple(torch.randperm(count).tolist())
        if order not in run.known:
            run.evaluate(order)


def _swap(run: _Search, _positions: bool) -> None:
    """Exchange the pair that helps most among those that the gradient promises most from.

    Where none of a handful lowers the loss, the next handful is tried; where no pair does, the
    search ends at a local optimum and leaves the rest of the budget.
    """
    order, size = run.given, run.objective.size
    run.propose(order)
    while run.affords(3 * size):
        rows = run.objective.vectors[list(order)]
        pairs = promising_pairs(rows, run.objective.gradient(order))
        better = order
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            for pair in pairs[start : start + PAIRS_AT_ONCE]:
                exchanged = _swapped(order, *pair)
                if exchanged in run.known or run.affords(size):
                    better = min(better, exchanged, key=run.evaluate)
            if better != order:
                break
        if better == order:
            return
        order = better


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
    own = products.diagonal()
    return products + products.T - own[:, None] - own[None]


class PairChanges(NamedTuple):
    """Change of the loss for each exchange of two virtual tokens, predicted and measured.

    ``pairs``: all i < j, P (P − 1) / 2 of them; the others: one number for each.
    """

    pairs: list[tuple[int, int]]
    predicted: list[float]
    measured: list[float]


def pair_changes(objective: Objective, on_progress: OnProgress | None = None) -> PairChanges:
    """Exchange every two virtual tokens of the order given, and see what one gradient foretold.

    Costs ``3 + P (P − 1) / 2`` times the objective's sentences in forward passes.
    """
    given: Order = tuple(range(len(objective.vectors)))
    pairs = list(itertools.combinations(given, 2))
    loss = objective.evaluate(given)
    changes = predicted_changes(objective.vectors, objective.gradient(given))
    measured = []
    for count, pair in enumerate(pairs, start=1):
        measured.append(objective.evaluate(_swapped(given, *pair)) - loss)
        if on_progress is not None:
            on_progress(count, len(pairs))
    return PairChanges(pairs, [changes[pair].item() for pair in pairs], measured)


def _swapped(order: Order, i: int, j: int) -> Order:
    changed = list(order)
    changed[i], changed[j] = changed[j], changed[i]
    return tuple(changed)


def _lstm(run: _Search, positions: bool, mode: str = "permutation", taught: bool = False) -> None:
    length, width = run.objective.vectors.shape
    enhance = PositionEnhancement(width, length) if positions else None
    sorter = LSTMSorter(run.prompt, mode=mode, positions=enhance).to(run.objective.vectors)
    if taught:
        teach(sorter, run.given)
    _train(run, sorter, LSTM_LEARNING_RATE)


def teach(
    sorter: LSTMSorter, order: Order, steps: int = 500, lr: float = LSTM_LEARNING_RATE
) -> None:
    """Train the sorter until it gives this order; no language model takes part in it.

    A fresh sorter starts from an arbitrary order, so from a prompt that its training must first
    repair. This one starts from where the prompt is good. Cross entropy at each place, the earlier
    choices given.
    """
    wanted = torch.tensor(order, device=sorter.vectors.device)
    optimizer = torch.optim.Adam(sorter.parameters(), lr=lr)
    for _ in range(steps):
        if sorter.order() == order:
            return
        chosen = sorter.sort(wanted).probabilities.gather(1, wanted[:, None])  # (P, 1)
        loss = -chosen.log().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _sinkhorn(run: _Search, _positions: bool) -> None:
    _train(run, SinkhornSorter(run.prompt), SINKHORN_LEARNING_RATE)


def _train(run: _Search, sorter: LSTMSorter | SinkhornSorter, lr: float) -> None:
    """Train a sorter, scoring its order on the sample now and then and at the end."""
    objective = run.objective
    sorter.to(objective.vectors)
    optimizer = torch.optim.Adam(sorter.parameters(), lr=lr)
    checked = 0
    for step in itertools.count():
        if not run.affords(2 * objective.batch_size + objective.size):
            break
        loss = objective.training_loss(sorter(), step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        due = checked + objective.size <= CHECK_SHARE * run.spent
        # the score of the last order must remain affordable
        if due and run.affords(2 * objective.size) and sorter.order() not in run.known:
            run.evaluate(sorter.order())
            checked += objective.size
    run.evaluate(sorter.order())


METHODS: dict[str, Callable[[_Search, bool], None]] = {
    "lstm": _lstm,
    "lstm-printed": functools.partial(_lstm, mode="printed"),
    "lstm-taught": functools.partial(_lstm, taught=True),
    "random": _random,
    "swap": _swap,
    "sinkhorn": _sinkhorn,
}


# ---- on a task ----


@dataclass(frozen=True)
class SearchResult:
    """A search on a task: chosen on training sentences, reported on test.

    Attributes:
        found: order, losses on the training sample, forward passes, history.
        before, after: the prompt as given and in the order found, on the test split (these passes
            are reporting, and not counted).
        seconds: of the search.
    """

    found: Found
    before: Evaluation
    after: Evaluation
    seconds: float

    @property
    def order(self) -> Order:
        return self.found.order

    @property
    def forward_passes(self) -> int:
        return self.found.forward_passes

    @property
    def is_permutation(self) -> bool:
        return self.found.is_permutation


def search(
    model: PromptedModel,
    prompt: nn.Module,
    task: Task,
    method: str,
    *,
    budget: int = BUDGET,
    seed: int = 0,
    positions: bool = False,
    sentences: int = SENTENCES,
    limit: int | None = None,
    on_progress: OnProgress | None = None,
) -> SearchResult:
    """Look for a better order of a prompt's virtual tokens; the prompt itself is left as it is.

    Args:
        method, budget, seed, positions: as in :func:`find_order`; the seed also draws the sample.
        sentences: training sentences on which orders are compared.
        limit: report on a seeded sample of that many test examples; default: all.
    """
    objective = PromptLoss(model, prompt, task, sentences=sentences, seed=seed)
    started = time.perf_counter()
    found = find_order(
        objective, method, budget=budget, seed=seed, positions=positions, on_progress=on_progress
    )
    seconds = time.perf_counter() - started
    ordered = objective.vectors[list(found.order)]
    before, after = (
        evaluate(model, module, task, "test", limit=limit)
        for module in (prompt, SoftPrompt(ordered))
    )
    return SearchResult(found, before, after, seconds)
