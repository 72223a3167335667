"""Two seeds, one prompt? Independently trained prompts on the straight line between them.

If two prompts do the same in the same way, the line between them stays as good as its ends (linear
mode connectivity). Where they do the same with their tokens in other places, the line is bad until
the tokens of one are matched to those of the other:

    order = matched(a, b)                       # which token of b goes with each of a
    along = losses_along(model, a, b[order], task)
    deviation(along)                            # how far its inside lies above its ends

A model that can't tell orders apart is the control that must come out: a prompt and itself in
another order are one point of it, at which matching leads, and the line without matching does not.

Sources: Frankle et al. 2020, "Linear mode connectivity and the lottery ticket hypothesis";
Entezari et al. 2022 and Ainsworth et al. 2023, "Git Re-Basin", for matching; Kuhn 1955.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from labkit.core import scoring
from labkit.core.errors import LabError
from labkit.core.modes import evaluating
from labkit.core.prompted_model import PromptedModel, for_classes
from labkit.core.tasks import Example, Task, classes_of

POINTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the second prompt along the line."""


def matched(a: Tensor, b: Tensor) -> list[int]:
    """For each virtual token of ``a`` (P, D) its partner in ``b`` (P, D), so that the sum of the
    squared distances is the least that any matching has.

    Raises:
        LabError: for prompts of other shapes, or with numbers that are not finite.
    """
    if a.shape != b.shape:
        raise LabError(
            f"prompts of shapes {tuple(a.shape)} and {tuple(b.shape)} can't be matched token by "
            "token; give two of one length, for one model"
        )
    if not (a.isfinite().all() and b.isfinite().all()):
        raise LabError("a prompt with NaN or infinite numbers matches none; train it again")
    distances = torch.cdist(a.double(), b.double(), compute_mode="donot_use_mm_for_euclid_dist")
    _, partners = linear_sum_assignment(distances.square().cpu().numpy())
    return [int(partner) for partner in partners]


def losses_along(
    model: PromptedModel,
    a: Tensor,
    b: Tensor,
    task: Task,
    examples: Sequence[Example],
    points: Sequence[float] = POINTS,
) -> NDArray[np.float64]:
    """−log p(right class) of each example at points of the line from ``a`` to ``b``, in nats.

    Args:
        a, b: (P, D); points: K shares of ``b``.

    Returns:
        (K, N).
    """
    model = for_classes(model, task)
    targets = torch.tensor(classes_of(examples))
    with evaluating(model):
        scorer = scoring.Scorer(model.backbone, model.encode(examples, a), model.labels())
        return np.stack(
            [scoring.losses_of(scorer(torch.lerp(a, b, point)), targets) for point in points]
        )


def deviation(losses: NDArray[np.float64], points: Sequence[float] = POINTS) -> float:
    """How far the mean loss (K,) or (K, N) along a line lies above the straight line between its
    ends, on average over the inner points; below zero where it lies below.

    Over many pairs its mean is zero where there is no barrier, as that of :func:`barrier` is not.

    Raises:
        LabError: for a line without an inner point.
    """
    if len(points) < 3:
        raise LabError(f"points={tuple(points)}: a line deviates between its ends; give one there")
    return float(_above_the_ends(losses, points)[1:-1].mean())


def barrier(losses: NDArray[np.float64], points: Sequence[float] = POINTS) -> float:
    """How far the mean loss (K,) or (K, N) along a line rises above the line between its ends at
    most; 0 where it rises nowhere.

    A description of one line: the largest of several noisy numbers, none below zero, is above zero
    by noise alone. What is averaged and judged is :func:`deviation`.
    """
    return float(max(0.0, _above_the_ends(losses, points).max()))


def _above_the_ends(losses: NDArray[np.float64], points: Sequence[float]) -> NDArray[np.float64]:
    means = losses.reshape(len(points), -1).mean(1)  # (K,)
    return means - np.interp(points, [points[0], points[-1]], [means[0], means[-1]])
