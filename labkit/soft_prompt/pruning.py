"""Pruning: which virtual tokens does nobody miss?

    costs = missed(model, prompt, task, examples, "left out")   # (P,) nats, small: not missed
    kept = keep(costs, 5)                                       # rows of the five most missed
    order = greedy(model, prompt, task, examples)               # one after the other

Three answers to how much a virtual token is missed: the loss without it, the loss with the mean of
the others in its place (which leaves its position filled), and what one gradient foretells of its
fading away, −g · v. Greedy removal spends a pass for every token at every step, and sees that two
tokens may stand in for each other.

Sources: Michel, Levy and Neubig 2019 and Molchanov et al. 2017, for gradient × value; Ma et al.
2022, "XPrompt", for pruning virtual tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.core import scoring
from labkit.core.errors import LabError
from labkit.core.modes import evaluating
from labkit.core.prompted_model import PromptedModel, for_classes
from labkit.core.tasks import Example, Task, classes_of


def missed(
    model: PromptedModel,
    prompt: nn.Module,
    task: Task,
    examples: Sequence[Example],
    how: str = "left out",
) -> NDArray[np.float64]:
    """How much the loss of these examples rises without each virtual token: (P,) in nats.

    Args:
        how: ``left out``, ``mean`` (the others' mean in its place) or ``gradient`` (−g · v).

    Raises:
        LabError: for another way, or a prompt of one virtual token, of which nothing is left.
    """
    if how not in WAYS:
        raise LabError(f"how={how!r} is unknown; choose one of {', '.join(WAYS)}")
    rows = model.fixed_vectors(prompt)
    if len(rows) < 2:
        raise LabError("a prompt of one virtual token can't lose it; give a longer one")
    loss = _Loss(for_classes(model, task), examples)
    return WAYS[how](loss, rows)


def _left_out(loss: _Loss, rows: Tensor) -> NDArray[np.float64]:
    whole = loss(rows)
    return np.array([loss(_without(rows, row)) - whole for row in range(len(rows))])


def _mean(loss: _Loss, rows: Tensor) -> NDArray[np.float64]:
    whole, costs = loss(rows), []
    for row in range(len(rows)):
        filled = rows.clone()
        filled[row] = _without(rows, row).mean(0)
        costs.append(loss(filled) - whole)
    return np.array(costs)


def _gradient(loss: _Loss, rows: Tensor) -> NDArray[np.float64]:
    return -(loss.gradient(rows) * rows).sum(-1).double().cpu().numpy()


WAYS: dict[str, Callable[[_Loss, Tensor], NDArray[np.float64]]] = {
    "left out": _left_out,
    "mean": _mean,
    "gradient": _gradient,
}
"""Ways to say how much a virtual token is missed."""


def keep(costs: NDArray[np.float64], count: int) -> list[int]:
    """The ``count`` virtual tokens that are missed most, in the order in which they stand.

    Raises:
        LabError: for a count below 1, or above the number of virtual tokens.
    """
    if not 1 <= count <= len(costs):
        raise LabError(f"count={count}: keep between 1 and all {len(costs)} virtual tokens")
    return sorted(np.argsort(-costs, kind="stable")[:count].tolist())


def greedy(
    model: PromptedModel,
    prompt: nn.Module,
    task: Task,
    examples: Sequence[Example],
    progress: scoring.Progress | None = None,
) -> list[int]:
    """Virtual tokens in the order in which they go, each time the one whose absence costs least;
    the last one in the list is the one that stays longest.

    Args:
        progress: called with (prompts scored, prompts in all).
    """
    rows = model.fixed_vectors(prompt)
    loss = _Loss(for_classes(model, task), examples)
    tell = progress or (lambda done, total: None)
    total, done = len(rows) * (len(rows) + 1) // 2 - 1, 0
    left, gone = list(range(len(rows))), []
    while len(left) > 1:
        costs = []
        for row in left:
            costs.append(loss(rows[[other for other in left if other != row]]))
            done += 1
            tell(done, total)
        gone.append(left.pop(int(np.argmin(costs))))
    return gone + left


class _Loss:
    """The mean loss of examples under a prompt of any length."""

    def __init__(self, model: PromptedModel, examples: Sequence[Example]) -> None:
        self.model, self.examples = model, examples
        self.targets = torch.tensor(classes_of(examples))
        self.scorers: dict[int, scoring.Scorer] = {}

    def __call__(self, rows: Tensor) -> float:
        if len(rows) not in self.scorers:
            sequences = self.model.encode(self.examples, rows)
            labels = self.model.labels()
            self.scorers = {len(rows): scoring.Scorer(self.model.backbone, sequences, labels)}
        with evaluating(self.model):
            return F.cross_entropy(self.scorers[len(rows)](rows), self.targets).item()

    def gradient(self, rows: Tensor) -> Tensor:
        """Of the loss with respect to each row: (P, D)."""
        free = rows.detach().clone().requires_grad_()
        backbone, sequences = self.model.backbone, self.model.encode(self.examples, rows)
        prefix = backbone.prefix_of(sequences)
        with evaluating(self.model):
            scores = scoring.training_scores(backbone, sequences, free, self.model.labels(), prefix)
        F.cross_entropy(scores, self.targets.to(scores.device)).backward()
        return free.grad


def _without(rows: Tensor, row: int) -> Tensor:
    return torch.cat([rows[:row], rows[row + 1 :]])
