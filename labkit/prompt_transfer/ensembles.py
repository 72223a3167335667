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
from labkit.core.prompted_model import PromptedModel
from labkit.core.tasks import Example


def ensemble_scores(
    model: PromptedModel, prompts: Sequence[nn.Module], examples: Sequence[Example]
) -> Tensor:
    """Label scores under each of E prompts, all of them in the same batches: (E, N, C).

    The prompts lie one behind the other as one matrix (E · P, D); the slots of example n under
    prompt e point at rows e · P … (e + 1) · P − 1 of it. One frozen model thus serves them all,
    where an ensemble of fine-tuned models would be E models.

    Raises:
        LabError: for no prompts, or prompts of several lengths.
    """
    vectors = [model.fixed_vectors(prompt) for prompt in prompts]
    lengths = {len(v) for v in vectors if v is not None}
    if len(lengths) != 1:
        raise LabError(
            f"an ensemble of {len(prompts)} prompts with lengths {sorted(lengths)}; give at least "
            "one, all of one length"
        )
    sequences = model.encode(examples, vectors[0])
    rows = len(vectors[0])
    every = [
        sequence._replace(ids=tuple(i - e * rows if i < 0 else i for i in sequence.ids))
        for e in range(len(prompts))
        for sequence in sequences
    ]
    scores = scoring.score(model.backbone, every, torch.cat(vectors), model.labels(), share=False)
    return scores.view(len(prompts), len(examples), -1)


def majority_vote(scores: Tensor) -> Tensor:
    """The class that most of E prompts choose, (E, N, C) → (N,); ties go to the higher mean score.

    The paper's ensemble. Averaging scores instead is :func:`mean_vote`.
    """
    counts = F.one_hot(scores.argmax(-1), scores.shape[-1]).sum(0).double()  # (N, C)
    probability = scores.double().softmax(-1).mean(0)  # (N, C), below 1: it only breaks ties
    return (counts + probability / 2).argmax(-1)


def mean_vote(scores: Tensor) -> Tensor:
    """The class of the highest probability, averaged over E prompts: (E, N, C) → (N,)."""
    return scores.double().softmax(-1).mean(0).argmax(-1)
