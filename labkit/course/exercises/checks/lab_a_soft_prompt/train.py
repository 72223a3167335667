"""Milestone A.6: the check of ``train``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.checks.lab_a_soft_prompt.batches import right_batches
from labkit.course.exercises.checks.lab_a_soft_prompt.learning_rate import right_rate
from labkit.course.exercises.checks.lab_a_soft_prompt.small_model import (
    PIECES,
    WIDTH,
    Budget,
    Collate,
    Parts,
    SoftPrompt,
    batch_scores,
    frozen_model,
    padded,
    some_rows,
)
from labkit.course.exercises.compare import Adapted, Draw, compare, require
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import Tolerance
from labkit.course.exercises.show import shown

TOLERANCE = Tolerance(1e-4, 2e-5)
"""Wide enough for Adam, which makes much of last digits, and narrow enough to see AdamW's decay."""


def _batches(count: int, size: int, seed: int, epoch: int) -> list[list[int]]:
    """An order that only this check has: who does not ask for it, trains on other batches."""
    order = [(place * (2 * epoch + 3) + seed + epoch) % count for place in range(count)]
    order = sorted(range(count), key=lambda row: (order[row], row))
    return [order[i : i + size] for i in range(0, count, size)]


def _learning_rate(step: int, steps: int, lr: float, warmup: int) -> float:
    """Falls in another way than the lab's, so that what is asked for has to be asked for."""
    return lr * (0.5 if step < warmup else 1.0) / (1 + 0.3 * step) * 9 / (3 + steps)


def _label_scores(model, prompt, ids, mask, words) -> Tensor:
    return batch_scores(model, prompt.vectors, ids, mask, words)


PARTS = Parts(
    batches=_batches, collate=padded, label_scores=_label_scores, learning_rate=_learning_rate
)


def _per_epoch(count: int, budget: Budget) -> int:
    return math.ceil(count / budget.batch_size)


@dataclass(frozen=True)
class _ByHand:
    """A training without an optimizer of torch's: the right one, but for the fields that differ.

    Attributes:
        batches, rate: the parts that are used; epoch, step, rate_steps: the numbers that they are
            given.
        rows, targets: of a batch of rows, those that are read and those whose targets are taken.
        updates: steps for a budget; total: the loss is summed; late: it is that after the step.
        adds_up: gradients add up; sign: along or against them; plain: without Adam.
        anew: Adam starts at each step; decay: AdamW's.
    """

    batches: Callable = _batches
    rate: Callable = _learning_rate
    epoch: Callable[[int], int] = lambda epoch: epoch
    step: Callable[[int], int] = lambda step: step
    rate_steps: Callable[[int, Budget], int] = lambda count, budget: budget.steps
    targets: Callable[[list[int]], list[int]] = lambda batch: batch
    updates: Callable[[int], int] = lambda steps: steps
    one_batch: bool = False
    total: bool = False
    late: bool = False
    adds_up: bool = False
    sign: int = 1
    plain: bool = False
    anew: bool = False
    decay: float = 0.0

    def __call__(
        self, parts, model, prompt, rows, targets, words, pad, budget
    ) -> tuple[list, Tensor]:
        """The losses, and the vectors (P, D) at the end."""
        start = prompt.vectors.detach()
        vectors, gradient, losses = start, torch.zeros_like(start), []
        moments = torch.zeros_like(start), torch.zeros_like(start)
        for step in range(self.updates(budget.steps)):
            batch = self._batch(0 if self.one_batch else step, len(rows), budget)
            ids, mask = padded([rows[row] for row in batch])
            right = torch.tensor([targets[row] for row in self.targets(batch)])

            def loss_of(at: Tensor, ids=ids, mask=mask, right=right) -> Tensor:
                scores = batch_scores(model, at, ids, mask, words)
                of_rows = scores.logsumexp(1) - scores.gather(1, right[:, None])[:, 0]
                return of_rows.sum() if self.total else of_rows.mean()

            leaf = vectors.clone().requires_grad_()
            loss = loss_of(leaf)
            (fresh,) = torch.autograd.grad(loss, leaf)
            gradient = fresh + gradient if self.adds_up else fresh
            steps = self.rate_steps(len(rows), budget)
            lr = self.rate(self.step(step), steps, budget.lr, budget.warmup)
            vectors, moments = self._moved(vectors, gradient, lr, moments, step)
            losses.append(loss_of(vectors).item() if self.late else loss.item())
        return losses, vectors

    def _batch(self, step: int, count: int, budget: Budget) -> list[int]:
        epoch, place = divmod(step, _per_epoch(count, budget))
        return self.batches(count, budget.batch_size, budget.seed, self.epoch(epoch))[place]

    def _moved(self, vectors: Tensor, gradient: Tensor, lr: float, moments: tuple, step: int):
        """Kingma and Ba 2015, algorithm 1."""
        if self.plain:
            return vectors - lr * gradient, moments
        if self.anew:
            moments, step = (0 * vectors, 0 * vectors), 0
        first = 0.9 * moments[0] + 0.1 * gradient
        second = 0.999 * moments[1] + 0.001 * gradient**2
        mean, spread = first / (1 - 0.9 ** (step + 1)), second / (1 - 0.999 ** (step + 1))
        kept = vectors * (1 - lr * self.decay)
        return kept - self.sign * lr * mean / (spread.sqrt() + 1e-8), (first, second)


def _trained(train: Guarded, parts, model, fresh, *others) -> tuple[Any, Tensor]:
    """The losses that an answer reports, and where it leaves the prompt."""
    start = fresh.vectors.detach()
    prompt = SoftPrompt(start)
    weights = [p.detach().clone() for p in model.parameters()]
    collate = Collate()
    parts = Parts(**{**vars(parts), "collate": collate})
    losses = train(parts, model, prompt, *others, may_change=(1, 2))
    same = all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))
    free = any(p.requires_grad for p in model.parameters())
    with torch.no_grad():
        for p, weight in zip(model.parameters(), weights, strict=True):
            p.copy_(weight)
    switched = any(part.training for part in model.modules())
    model.requires_grad_(False).eval()
    require(same, "the model's weights changed: give the optimizer the prompt's parameters only")
    require(not free, "the model was unfrozen: no gradient of its weights is needed")
    require(
        not switched,
        "the model was switched to another mode, and it is to be as it was: leave model.train() "
        "to those who train it",
    )
    collate.require_pad(others[3])
    require(losses is not None, "nothing comes back (None): return the losses, one for each step")
    if hasattr(losses, "__len__") and len(losses):
        graph = isinstance(losses[0], Tensor) and losses[0].requires_grad
        require(
            not graph,
            "the losses are tensors that hold their whole graph, step after step: `.item()` makes "
            "each a number",
        )
    require(
        not torch.equal(prompt.vectors.detach(), start),
        "the prompt has not moved: is its parameter the one that the optimizer steps?",
    )
    require(
        prompt.vectors.shape == start.shape,
        f"the prompt has another shape: {shown(prompt.vectors)}",
    )
    return losses, prompt.vectors.detach().clone()


@exercise(overtime="does it stop after `budget.steps` steps?")
def check_train(train: Guarded, draw: Draw) -> str:
    """``train``: parts, model, prompt, rows, targets, words, pad, budget → losses."""
    cases = []
    for number, (length, count, budget) in enumerate(
        [
            (2, 5, Budget(6, 2, 0.05, 2, 0)),  # two epochs, the last batch of each shorter
            (3, 4, Budget(5, 4, 0.02, 0, 3)),  # an epoch of one batch
            (1, 9, Budget(4, 2, 0.1, 2, 1)),
        ]
    ):
        words = [4, 9] if number != 1 else [7, 1, PIECES - 1]
        targets = [draw.whole(0, len(words) - 1) for _ in range(count)]
        targets[:2] = [0, 1]
        model = frozen_model(draw, number)
        prompt, rows = SoftPrompt(0.5 * draw.normal(length, WIDTH)), some_rows(draw, count, 4)
        cases.append((PARTS, model, prompt, rows, targets, words, number, budget))

    compare(
        Adapted(train, _trained),
        cases,
        _ByHand(),
        mistakes={
            "each step adds its gradient to those before: set them to zero (or None) first": (
                _ByHand(adds_up=True)
            ),
            "the loss is the sum over the batch: take the mean": _ByHand(total=True),
            "the loss is that after the step: keep the one that the gradient came from": (
                _ByHand(late=True)
            ),
            "the learning rate is that of the budget in every step: set the optimizer's to "
            "`parts.learning_rate(step, …)` before each": (
                _ByHand(rate=lambda step, steps, lr, warmup: lr)
            ),
            "the learning rate is given the steps of an epoch: `budget.steps`, those of the whole "
            "training": _ByHand(rate_steps=_per_epoch),
            "the learning rate is that of the step after: steps count from 0": (
                _ByHand(step=lambda step: step + 1)
            ),
            "the learning rate is that of the step before: set it before the optimizer's step": (
                _ByHand(step=lambda step: max(step - 1, 0))
            ),
            "every epoch has the first one's order: ask for the batches of each epoch": (
                _ByHand(epoch=lambda epoch: 0)
            ),
            "the epochs count from 1: the first is epoch 0": _ByHand(epoch=lambda e: e + 1),
            "it trains on one batch again and again": _ByHand(one_batch=True),
            "these are not the batches of `parts`, nor its learning rate: call `parts.batches` "
            "and `parts.learning_rate`": _ByHand(batches=right_batches, rate=right_rate),
            "these are not the batches of `parts`: call `parts.batches`": (
                _ByHand(batches=right_batches)
            ),
            "this is not the learning rate of `parts`: call `parts.learning_rate`": (
                _ByHand(rate=right_rate)
            ),
            "the targets are those of the first rows, not of the batch: `targets[row]` for each "
            "row of it": _ByHand(targets=lambda batch: list(range(len(batch)))),
            "plain gradient descent: the budget is spent with Adam": _ByHand(plain=True),
            "Adam begins anew at each step: make the optimizer once, before the loop": (
                _ByHand(anew=True)
            ),
            "the vectors are pulled towards zero (AdamW's weight decay): take Adam": (
                _ByHand(decay=0.01)
            ),
            "the loss rises: a step goes against the gradient": _ByHand(sign=-1),
            "one step is missing: `budget.steps` of them": _ByHand(updates=lambda n: n - 1),
            "one step too many: `budget.steps` of them": _ByHand(updates=lambda n: n + 1),
        },
        where="For each step: its batch of `parts.batches`, its loss (mean cross entropy of "
        "`parts.label_scores`), its rate, one step of Adam on the prompt alone",
        tolerance=TOLERANCE,
    )
    return "trained: the prompt moved, the model did not; a loss for each step"
