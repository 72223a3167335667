"""Transfer as a start: a target's prompt begins where others ended (SPoT, Vu et al. 2022).

Usage::

    alike = likeness(target, library)                                # the most alike first
    nearest = {name: alike[name] for name in list(alike)[:3]}
    prompt = SoftPrompt(weighted_start(library, nearest))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.core import scoring
from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel, for_classes
from labkit.core.tasks import Task
from labkit.core.tuning import batch_of_step, targets
from labkit.prompt_transfer.similarity import similarities


def likeness(
    target: Tensor,
    library: Mapping[str, Tensor],
    metric: str = "cosine-mean",
    backbone: Backbone | None = None,
) -> dict[str, float]:
    """Similarity of each prompt of the library to ``target`` (P, D), the most alike first.

    SPoT's task embedding of the target is its own prompt after a few steps of training.

    Raises:
        LabError: for an empty library, and as :func:`~labkit.prompt_transfer.similarities`.
    """
    if not library:
        raise LabError("the library holds no prompts; give at least one source prompt")
    alike = similarities([target, *library.values()], metric, backbone)[0, 1:]
    by_name = dict(zip(library, alike.tolist(), strict=True))
    return dict(sorted(by_name.items(), key=lambda item: -item[1]))


def weighted_average(prompts: Sequence[Tensor], weights: ArrayLike) -> Tensor:
    """Σ wᵢ Pᵢ / Σ wᵢ of N prompts (P, D) with N weights: SPoT's average of the top k.

    Raises:
        LabError: for other shapes, a negative weight, or weights that are all zero.
    """
    weights = np.asarray(weights, dtype=float)
    shapes = {tuple(prompt.shape) for prompt in prompts}
    if len(shapes) != 1 or weights.shape != (len(prompts),):
        raise LabError(
            f"{len(prompts)} prompts of shapes {sorted(shapes)} and {weights.size} weights: give "
            "prompts of one shape, and one weight each"
        )
    if (weights < 0).any() or not weights.sum() > 0:
        raise LabError(
            f"weights {weights.round(3).tolist()}: none may be negative, and not all may be zero "
            "(leave sources out whose similarity is negative)"
        )
    share = torch.tensor(weights / weights.sum())
    return torch.einsum("n,npd->pd", share, torch.stack(list(prompts)).double()).float()


def weighted_start(library: Mapping[str, Tensor], alike: Mapping[str, float]) -> Tensor:
    """Mean of the prompts named in ``alike``, weighted by their similarity to the target.

    A negative similarity counts as 0; where none is positive, all count the same.
    """
    weights = np.array(list(alike.values())).clip(min=0)
    chosen = [library[name] for name in alike]
    return weighted_average(chosen, weights if weights.any() else np.ones(len(chosen)))


def fit_mixture(
    backbone: Backbone,
    prompt: nn.Module,
    tasks: Sequence[Task],
    *,
    steps: int,
    batch_size: int = 16,
    lr: float = 3e-3,
    seed: int = 0,
) -> list[float]:
    """Train one prompt on several tasks in turn, a batch of each: the multi-task mixture.

    Each task keeps its own template and label words; only the virtual tokens are shared.

    Returns:
        The loss of each step.

    Raises:
        LabError: without a task or a step.
    """
    if not tasks or steps < 1:
        raise LabError(f"{len(tasks)} tasks and {steps} steps: a mixture needs at least one each")
    optimizer = torch.optim.Adam(prompt.parameters(), lr=lr)
    parts = []
    for task in tasks:
        model = for_classes(PromptedModel.for_task(backbone, task), task)
        examples = model.view_of(task).split("train")
        sequences = model.encode(examples, model.fixed_vectors(prompt))
        parts.append((model, sequences, targets(examples, task)))
    losses = []
    prompt.train()
    for step in range(steps):
        model, sequences, wanted = parts[step % len(parts)]
        rows = batch_of_step(step // len(parts), len(sequences), batch_size, seed)
        vectors = model.vectors(prompt)
        scores = scoring.training_scores(
            backbone, [sequences[row] for row in rows], vectors, model.labels()
        )
        loss = F.cross_entropy(scores, wanted[rows].to(scores.device))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(prompt.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


def steps_to_reach(curve: Sequence[tuple[int, float]], value: float) -> int | None:
    """The first number of steps whose score is at least ``value``; None if it is never reached.

    TPT's "comparable-result time" is this number for the transferred start, with the plain
    prompt's final score as ``value``, as a share of the plain prompt's steps.

    Args:
        curve: (steps done, score) of each evaluation.
    """
    return next((steps for steps, score in curve if score >= value), None)
