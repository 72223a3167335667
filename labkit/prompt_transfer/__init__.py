"""Prompts that travel between tasks: SPoT, TPT, and ensembles of prompts.

- ``prompt_files``: prompts of any make, read as matrices.
- ``similarity``: how alike are two prompts? By their vectors, or by the feed-forward neurons that
  they switch on (SPoT, Vu et al. 2022, section 3.2; TPT, Su et al. 2022, section 5.1).
- ``zero_shot``: what does a prompt of one task do on another, and could it be seen beforehand?
- ``starts``: a target's prompt begins where others ended (SPoT).
- ``projected_prompt``: a prompt of one model in front of another (TPT, section 6).
- ``ensembles``: several prompts, one batch, one vote (Lester et al. 2021, section 6).

Usage::

    prompts = {name: read_prompt(name) for name in ("prompts/a", "prompts/b.npz")}
    similarities(list(prompts.values()), "cosine-mean")            # (2, 2)
"""

from __future__ import annotations

from labkit.prompt_transfer.ensembles import ensemble_scores, majority_vote, mean_vote
from labkit.prompt_transfer.projected_prompt import ProjectedPrompt
from labkit.prompt_transfer.prompt_files import read_library, read_prompt
from labkit.prompt_transfer.similarity import (
    METRICS,
    VECTOR_METRICS,
    active_neurons,
    cosine_of_means,
    neuron_overlap,
    similarities,
    since_start,
)
from labkit.prompt_transfer.starts import (
    fit_mixture,
    likeness,
    steps_to_reach,
    weighted_average,
    weighted_start,
)
from labkit.prompt_transfer.zero_shot import (
    OverTargets,
    TransferTable,
    is_seen,
    kind_difference,
    kind_of,
    over_targets,
    rank_correlation,
    retrieved,
    same_kind_gain,
    similarity_against_transfer,
)

__all__ = [
    "METRICS",
    "VECTOR_METRICS",
    "OverTargets",
    "ProjectedPrompt",
    "TransferTable",
    "active_neurons",
    "cosine_of_means",
    "ensemble_scores",
    "fit_mixture",
    "is_seen",
    "kind_difference",
    "kind_of",
    "likeness",
    "majority_vote",
    "mean_vote",
    "neuron_overlap",
    "over_targets",
    "rank_correlation",
    "read_library",
    "read_prompt",
    "retrieved",
    "same_kind_gain",
    "similarities",
    "similarity_against_transfer",
    "since_start",
    "steps_to_reach",
    "weighted_average",
    "weighted_start",
]
