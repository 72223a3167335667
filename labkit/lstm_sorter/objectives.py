"""What is searched for: losses that depend on an order, and count what they cost.

Usage::

    objective = HiddenOrder(20)                        # a toy with a known answer
    objective = PromptLoss(model, prompt, task)        # a prompt's loss on training sentences
    objective.evaluate(order), objective.spent
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.core import scoring
from labkit.core.prompted_model import PromptedModel, for_classes
from labkit.core.tasks import Task
from labkit.core.tuning import batch_of_step, targets
from labkit.lstm_sorter.sorters import Order


class Objective:
    """A loss that depends on the order of ``vectors``, and what has been spent on it.

    Subclasses say what the loss is. Costs are in forward passes: ``size`` for an evaluation, twice
    that for its gradient, ``2 * batch_size`` for a training step, ``batch_size`` for an order's
    value on such a batch.

    Attributes:
        vectors: (P, D) in the order given; size: sentences of an evaluation; batch_size: those of a
            training step; spent: forward passes so far.
    """

    vectors: Tensor
    size: int
    batch_size: int
    spent: int = 0

    def loss(self, vectors: Tensor) -> Tensor:
        """Mean loss over the fixed sample, differentiable in ``vectors`` (P, D)."""
        raise NotImplementedError

    def batch_loss(self, vectors: Tensor, step: int) -> Tensor:
        """Mean loss over the sentences of a training step."""
        raise NotImplementedError

    def sentences_of(self, step: int) -> int:
        """How many sentences a training step has: the last one of an epoch may have fewer."""
        return self.batch_size

    def evaluate(self, order: Sequence[int]) -> float:
        self.spent += self.size
        with torch.no_grad():
            return self.loss(self.vectors[list(order)]).item()

    def gradient(self, order: Sequence[int]) -> Tensor:
        """Gradient of the loss with respect to the sorted rows: (P, D)."""
        self.spent += 2 * self.size
        rows = self.vectors[list(order)].requires_grad_()
        return torch.autograd.grad(self.loss(rows), rows)[0]

    def batch_values(self, orders: Sequence[Sequence[int]], step: int) -> list[float]:
        """Loss of each order on the sentences of one training step, without gradient."""
        self.spent += self.sentences_of(step) * len(orders)
        with torch.no_grad():
            return self.batch_losses(self.vectors[torch.tensor(orders)], step).tolist()

    def batch_losses(self, prompts: Tensor, step: int) -> Tensor:
        """:meth:`batch_loss` of each of several prompts, without gradient: (M, P, D) → (M,)."""
        return torch.stack([self.batch_loss(vectors, step) for vectors in prompts])

    def training_loss(self, vectors: Tensor, step: int) -> Tensor:
        self.spent += 2 * self.sentences_of(step)
        return self.batch_loss(vectors, step)


class PromptLoss(Objective):
    """Cross entropy of a prompt's answers on training sentences.

    Orders are compared on one seeded sample of ``sentences``; training steps go through the whole
    train split in batches, as in :func:`labkit.fit`.

    Args:
        split: where the sample is drawn from; ``validation`` chooses on a development set.
    """

    def __init__(
        self,
        model: PromptedModel,
        prompt: nn.Module,
        task: Task,
        *,
        sentences: int = 96,
        batch_size: int = 16,
        seed: int = 0,
        split: str = "train",
    ) -> None:
        task = model.view_of(task)
        self.model, self.task, self.seed = for_classes(model, task), task, seed
        self.vectors = model.fixed_vectors(prompt).clone()
        examples = task.take(split, sentences, seed=seed)
        self.sequences = self.model.encode(examples, self.vectors)
        self.targets = targets(examples, task)
        self.labels = self.model.labels()
        self.size, self.batch_size = len(examples), batch_size

    @functools.cached_property
    def _train(self) -> tuple[list, Tensor]:
        examples = self.task.split("train")
        return self.model.encode(examples, self.vectors), targets(examples, self.task)

    def loss(self, vectors: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return self._loss(self.sequences, self.targets, vectors)
        scores = scoring.score(self.model.backbone, self.sequences, vectors, self.labels)
        return F.cross_entropy(scores, self.targets)

    def sentences_of(self, step: int) -> int:
        return len(self._rows(step))

    def batch_loss(self, vectors: Tensor, step: int) -> Tensor:
        return self._loss(*self._batch(step), vectors)

    def batch_losses(self, prompts: Tensor, step: int) -> Tensor:
        # all prompts in one batch: a third less time than one after the other
        sequences, wanted = self._batch(step)
        scores = scoring.scores_under_all(self.model.backbone, sequences, prompts, self.labels)
        losses = [F.cross_entropy(each, wanted) for each in scores]  # of (B, C) each
        return torch.stack(losses)

    def _rows(self, step: int) -> list[int]:
        """Which training sentences a step has."""
        return batch_of_step(step, len(self._train[0]), self.batch_size, self.seed)

    def _batch(self, step: int) -> tuple[list, Tensor]:
        """Sequences and targets of a training step."""
        sequences, wanted = self._train
        rows = self._rows(step)
        return [sequences[row] for row in rows], wanted[rows]

    def _loss(self, sequences: list, wanted: Tensor, vectors: Tensor) -> Tensor:
        # a batch may share a word more than the whole split does, so its own leading part is safe
        backbone = self.model.backbone
        prefix = backbone.prefix_of(sequences)
        scores = scoring.training_scores(backbone, sequences, vectors, self.labels, prefix)
        return F.cross_entropy(scores, wanted.to(scores.device))


class LabelFree(PromptLoss):
    """How one-sided a prompt's answers are: minus the entropy of the classes that it predicts.

    Lu et al. 2022 (GlobalE) choose the order of demonstrations by it, for want of labels: an order
    that answers everything with one class is taken for a bad one.
    """

    def loss(self, vectors: Tensor) -> Tensor:
        scores = scoring.score(self.model.backbone, self.sequences, vectors, self.labels)
        counts = torch.bincount(scores.argmax(-1), minlength=scores.shape[1])
        return -torch.distributions.Categorical(probs=counts / counts.sum()).entropy()


class HiddenOrder(Objective):
    """A toy with a known answer: random unit vectors and an order in which they belong.

    The score is the mean probability, over places, that the token standing there is taken for the
    right one (softmax of its products with all tokens). It is differentiable, rises with the share
    of tokens in place, and is largest for the hidden order.
    """

    SHARPNESS, WIDTH = 8.0, 32
    size = batch_size = 1

    def __init__(self, length: int, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.vectors = F.normalize(torch.randn(length, self.WIDTH, generator=generator), dim=-1)
        self.hidden: Order = tuple(torch.randperm(length, generator=generator).tolist())

    def loss(self, vectors: Tensor) -> Tensor:
        matches = self.SHARPNESS * vectors @ self.vectors[list(self.hidden)].T  # (P, P)
        return 1 - matches.softmax(-1).diagonal().mean()

    def batch_loss(self, vectors: Tensor, step: int) -> Tensor:
        return self.loss(vectors)

    def score(self, order: Sequence[int]) -> float:
        """1 − loss, as a share of what the hidden order reaches; nothing is spent."""
        with torch.no_grad():
            reached = 1 - self.loss(self.vectors[list(order)])
            return (reached / (1 - self.loss(self.vectors[list(self.hidden)]))).item()
