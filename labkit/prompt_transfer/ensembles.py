"""Several prompts on one frozen model: one batch, one vote (Lester et al. 2021, section 6).

Usage::

    scores = ensemble_scores(model, prompts, examples)     # (E, N, C)
    majority_vote(scores)                                  # (N,)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.core import scoring
from labkit.core.errors import LabError
from labkit.core.modes import evaluating
from labkit.core.prompted_model import PromptedModel
from labkit.core.tasks import Example


def ensemble_scores(
    model: PromptedModel, prompts: Sequence[nn.Module], examples: Sequence[Example]
) -> Tensor:
    """Label scores under each of E prompts, all of them in the same batches: (E, N, C).

    A batch holds sequences of all prompts, each behind the rows of its own. One frozen model and E
    prompts thus serve them all, where an ensemble of fine-tuned models would be E models.

    Raises:
        LabError: for no prompts, prompts of several lengths, or scores that are not finite.
    """
    vectors = [model.fixed_vectors(prompt) for prompt in prompts]
    lengths = {len(v) for v in vectors if v is not None}
    if len(lengths) != 1:
        raise LabError(
            f"an ensemble of {len(prompts)} prompts with lengths {sorted(lengths)}; give at least "
            "one, all of one length"
        )
    sequences = model.encode(examples, vectors[0])
    with evaluating(model):
        return scoring.scores_under_all(
            model.backbone, sequences, torch.stack(vectors), model.labels()
        )


def majority_vote(scores: Tensor) -> Tensor:
    """The class that most of E prompts choose, (E, N, C) → (N,).

    Ties go to the class of the higher mean probability. The paper's ensemble; averaging instead is
    :func:`mean_vote`.
    """
    counts = F.one_hot(scores.argmax(-1), scores.shape[-1]).sum(0).double()  # (N, C)
    probability = scores.double().softmax(-1).mean(0)  # (N, C), below 1: it only breaks ties
    return (counts + probability / 2).argmax(-1)


def mean_vote(scores: Tensor) -> Tensor:
    """The class of the highest probability, averaged over E prompts: (E, N, C) → (N,)."""
    return scores.double().softmax(-1).mean(0).argmax(-1)
