"""Ways to look for an order: each a function that spends what it is given on trials."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from labkit.lstm_sorter.rankings import PlackettLuce, SoftSorter
from labkit.lstm_sorter.sorters import LSTMSorter, Order, SinkhornSorter
from labkit.lstm_sorter.swaps import promising_pairs, swapped
from labkit.lstm_sorter.trials import Trials
from labkit.position_enhancement import PositionEnhancement
from labkit.shuffle_probe import TokenPlaceEffects, mallows

PAIRS_AT_ONCE = 8
DRAWS = 16
"""Orders that are compared on the same sentences, by methods that draw."""

ROUNDS, EFFECTS_RIDGE = 8, 4.0
LSTM_LEARNING_RATE, SCORES_LEARNING_RATE = 1e-3, 0.1


@dataclass(frozen=True)
class MethodOptions:
    """What may be set of a method; others leave it unread.

    Attributes:
        positions: position enhancement for what the LSTM sorter reads.
        lr: learning rate instead of the method's own; temperature: of the LSTM sorter's gate.
    """

    positions: bool = False
    lr: float | None = None
    temperature: float = 1.0

    def rate(self, own: float) -> float:
        """The learning rate, where the method's own is ``own``."""
        return own if self.lr is None else self.lr


def _random(run: Trials, _options: MethodOptions) -> None:
    count = len(run.given)
    while run.affords(run.objective.size) and len(run.known) < math.factorial(count):
        order = tuple(torch.randperm(count).tolist())
        if order not in run.known:
            run.evaluate(order)


def _swap(run: Trials, _options: MethodOptions) -> None:
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
                exchanged = swapped(order, *pair)
                if exchanged in run.known or run.affords(size):
                    better = min(better, exchanged, key=run.evaluate)
            if better != order:
                break
        if better == order:
            return
        order = better


def _lstm(
    run: Trials, options: MethodOptions, mode: str = "permutation", taught: bool = False
) -> None:
    sorter = _sorter(run, options, mode)
    if taught:
        teach(sorter, run.given)
    _train(run, sorter, options.rate(LSTM_LEARNING_RATE))


def _untrained(run: Trials, options: MethodOptions) -> None:
    """The control for every sorter: the order that its first weights happen to give."""
    run.evaluate(_sorter(run, options).order())


def _sorter(run: Trials, options: MethodOptions, mode: str = "permutation") -> LSTMSorter:
    length, width = run.objective.vectors.shape
    enhance = PositionEnhancement(width, length) if options.positions else None
    sorter = LSTMSorter(run.prompt, mode=mode, positions=enhance, temperature=options.temperature)
    return sorter.to(run.objective.vectors)


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


def _sinkhorn(run: Trials, options: MethodOptions) -> None:
    _train(run, SinkhornSorter(run.prompt), options.rate(SCORES_LEARNING_RATE))


def _relaxed(run: Trials, options: MethodOptions, relaxation: str) -> None:
    _train(run, SoftSorter(run.prompt, relaxation=relaxation), options.rate(SCORES_LEARNING_RATE))


def _train(run: Trials, sorter: LSTMSorter | SinkhornSorter | SoftSorter, lr: float) -> None:
    """Train a sorter, scoring its order on the sample now and then and at the end."""
    objective = run.objective
    sorter.to(objective.vectors)
    optimizer = torch.optim.Adam(sorter.parameters(), lr=lr)
    for step in itertools.count():
        if not run.affords(2 * objective.batch_size + objective.size):
            break
        loss = objective.training_loss(sorter(), step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.check(sorter.order())
    run.evaluate(sorter.order())


def _plackett_luce(run: Trials, options: MethodOptions) -> None:
    """Draw orders, shift the distribution to those of lower loss; no gradient of the model."""
    objective, ranking = run.objective, PlackettLuce(len(run.given))
    optimizer = torch.optim.Adam(ranking.parameters(), lr=options.rate(SCORES_LEARNING_RATE))
    for step in itertools.count():
        if not run.affords(DRAWS * objective.batch_size + objective.size):
            break
        orders = ranking.draw(DRAWS)
        losses = torch.tensor(objective.batch_values(orders.tolist(), step))
        # in units of their own spread: how large a step is must not depend on the loss's scale
        losses = losses / losses.std().clamp(min=1e-12)
        optimizer.zero_grad()
        ranking.surrogate(orders, losses).backward()
        optimizer.step()
        run.check(ranking.order())
    run.evaluate(ranking.order())


def _assignment(run: Trials, _options: MethodOptions) -> None:
    """Read what each token adds at each place off many orders, each seen on few sentences.

    The first round draws uniform random orders; each later one draws around the best order under
    the effects read so far, a little nearer every time.
    """
    objective = run.objective
    orders: list[Sequence[int]] = []
    values: list[float] = []
    best = run.given
    for done in range(ROUNDS):
        while run.spent < (done + 1) / ROUNDS * run.budget:
            if not run.affords(DRAWS * objective.batch_size + objective.size):
                break
            drawn = _around(best, 0.5 * (1 - done / ROUNDS))
            losses = np.array(objective.batch_values(drawn, step=len(orders) // DRAWS))
            orders += drawn
            values += (losses - losses.mean()).tolist()  # batches differ more than orders do
        if orders:
            best = TokenPlaceEffects.fit(np.array(orders), values, ridge=EFFECTS_RIDGE).lowest()
            run.check(best)
    run.evaluate(best)


def _around(centre: Order, share: float) -> list[list[int]]:
    """Orders in which ``share`` of the pairs stand otherwise than in ``centre``."""
    seed = int(torch.randint(2**31, ()))
    return np.array(centre)[mallows(len(centre), share, DRAWS, seed)].tolist()


METHODS: dict[str, Callable[[Trials, MethodOptions], None]] = {
    "lstm": _lstm,
    "lstm-printed": functools.partial(_lstm, mode="printed"),
    "lstm-taught": functools.partial(_lstm, taught=True),
    "random": _random,
    "swap": _swap,
    "sinkhorn": _sinkhorn,
    "softsort": functools.partial(_relaxed, relaxation="softsort"),
    "neuralsort": functools.partial(_relaxed, relaxation="neuralsort"),
    "plackett-luce": _plackett_luce,
    "assignment": _assignment,
    "lstm-untrained": _untrained,
}
