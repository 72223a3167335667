"""Searches for an order, behind one interface and at one budget.

The budget is counted in forward passes of the backbone: one sentence through the model is one pass,
whether or not keys and values were shared, and a backward pass counts as one more (with frozen
weights it does about a forward pass's work).

Usage::

    find_order(objective, "swap", budget=9_600)
    search(model, prompt, task, "swap", budget=57_600)         # and its score on test
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TypedDict, Unpack

import torch
from torch import nn

from labkit.core.errors import LabError
from labkit.core.prompted_model import Evaluation, PromptedModel, evaluate
from labkit.core.recipe import require_positive
from labkit.core.scoring import Progress
from labkit.core.sets import SET
from labkit.core.tasks import Task
from labkit.lstm_sorter.methods import METHODS, MethodOptions
from labkit.lstm_sorter.objectives import LabelFree, Objective, PromptLoss
from labkit.lstm_sorter.sorters import Order, require_sortable
from labkit.lstm_sorter.trials import BestOrder, Trials
from labkit.soft_prompt import SoftPrompt

SENTENCES = 96
BUDGET = 600 * SENTENCES

CHOICES = ("train", "validation", "entropy")
"""What orders are chosen by: their loss on training sentences or on a development set, or, without
any label, how evenly they use the classes."""


class Settings(TypedDict, total=False):
    """What else may be set of a search, as :func:`find_order` reads it."""

    positions: bool
    lr: float | None
    temperature: float
    keep_given: bool
    on_progress: Progress | None


def find_order(
    objective: Objective,
    method: str,
    *,
    budget: int,
    seed: int = 0,
    positions: bool = False,
    lr: float | None = None,
    temperature: float = 1.0,
    keep_given: bool = False,
    on_progress: Progress | None = None,
) -> BestOrder:
    """Look for the order with the lowest loss, within ``budget`` forward passes.

    Args:
        method: ``random``: orders drawn at random; ``swap``: gradient-guided swaps; ``lstm``,
            ``lstm-printed``: the sorter, as a permutation or as printed; ``lstm-taught``: the same,
            after it was taught the given order (:func:`teach`); ``lstm-untrained``: its control,
            the order of its first weights; ``sinkhorn``; ``softsort``, ``neuralsort``: one score
            for each token, relaxed; ``plackett-luce``: the same without the model's gradient;
            ``assignment``: what each token adds at each place, read off many orders.
        positions, temperature: position enhancement and the gate's temperature, for the sorter.
        lr: learning rate instead of the method's own.
        keep_given: the given order is a candidate too: a safeguard, whatever the method does.
        on_progress: called with (forward passes spent, budget).

    Raises:
        LabError: for an unknown method, positions where there is no sorter, a rate that is not
            above zero, or a budget too small for one order besides the given one.
    """
    if method not in METHODS:
        raise LabError(f"method={method!r} is unknown; choose one of {', '.join(METHODS)}")
    if positions and not method.startswith("lstm"):
        raise LabError(f"positions are for the lstm sorter; the method {method!r} reads none")
    require_positive("lr", lr)
    if budget < 2 * objective.size:
        raise LabError(
            f"budget={budget} forward passes is not enough to score the given order and another "
            f"one on {objective.size} sentences; give at least {2 * objective.size}"
        )
    require_sortable(objective.vectors)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        run = Trials(objective, budget, on_progress)
        if keep_given:  # first: of equally good orders the given one stays
            run.propose(run.given)
        METHODS[method](run, MethodOptions(positions, lr, temperature))
    run.best.forward_passes = run.spent
    return run.best


# ---- on a task ----


@dataclass(frozen=True)
class SearchResult:
    """A search on a task: chosen on training sentences, reported on test.

    Attributes:
        best: order, losses on the training sample, forward passes, history.
        before, after: the prompt as given and in the order found, on the test split (these passes
            are reporting, and not counted).
        seconds: of the search.
    """

    best: BestOrder
    before: Evaluation
    after: Evaluation
    seconds: float

    @property
    def order(self) -> Order:
        return self.best.order

    @property
    def forward_passes(self) -> int:
        return self.best.forward_passes

    @property
    def is_permutation(self) -> bool:
        return self.best.is_permutation


def search(
    model: PromptedModel,
    prompt: nn.Module,
    task: Task,
    method: str,
    *,
    budget: int = BUDGET,
    seed: int = 0,
    choose_by: str = "train",
    sentences: int = SENTENCES,
    limit: int | None = None,
    **settings: Unpack[Settings],
) -> SearchResult:
    """Look for a better order of a prompt's virtual tokens; the prompt itself is left as it is.

    Args:
        method, budget, seed, settings: as in :func:`find_order`; the seed also draws the sample.
        choose_by: one of :data:`CHOICES`; ``entropy`` gives no loss to train on, and is for the
            method ``random``.
        sentences: how many orders are compared on.
        limit: report on a seeded sample of that many test examples; default: all.

    Raises:
        LabError: as :func:`find_order`, for another choice, and for a prompt that is read as a set.
    """
    if model.positions == SET:
        raise LabError(
            f"{model.backbone.name} reads this prompt as a set, alike in every order: there is no "
            "order to look for; search one of a prompt that was trained with positions"
        )
    if choose_by not in CHOICES:
        raise LabError(f"choose_by={choose_by!r} is unknown; take one of {', '.join(CHOICES)}")
    if choose_by == "entropy" and method != "random":
        raise LabError(
            f"choose_by='entropy' gives no loss to train the method {method!r} on; take random"
        )
    kind = LabelFree if choose_by == "entropy" else PromptLoss
    split = "validation" if choose_by == "validation" else "train"
    objective = kind(model, prompt, task, sentences=sentences, seed=seed, split=split)
    started = time.perf_counter()
    best = find_order(objective, method, budget=budget, seed=seed, **settings)
    seconds = time.perf_counter() - started
    before = after = evaluate(model, prompt, task, "test", limit=limit)
    if list(best.order) != list(range(len(objective.vectors))):
        ordered = objective.vectors[list(best.order)]
        after = evaluate(model, SoftPrompt(ordered), task, "test", limit=limit)
    return SearchResult(best, before, after, seconds)
