"""Training recipes: the settings that rows of one experiment share or vary."""

from __future__ import annotations

from dataclasses import dataclass, replace

from labkit.core import recipe as core_recipe
from labkit.core.loading import readout_of


@dataclass(frozen=True)
class Recipe(core_recipe.Recipe):
    """How a prompt starts and is trained: what rows of one experiment share or vary."""

    clip: float | None = None
    length: int = 20
    init: str = "vocab"


# Settled on validation with one seed: for causal models a short warm-up and linear decay, for the
# encoder one epoch of larger batches at a higher rate, for the masked model two epochs of them.
RECIPES = {
    "causal": Recipe(lr=5e-3, schedule="linear", warmup=10),
    "encoder": Recipe(lr=1e-2, batch_size=32, steps=266, schedule="linear", warmup=10, clip=1.0),
    "mlm": Recipe(lr=2e-2, batch_size=32, steps=600, schedule="linear", warmup=10),
    "seq2seq": Recipe(lr=3e-2),
}
"""The default recipe of each readout."""

CONVERGED_WITHIN = 5
"""Times the steps of the short recipe that a prompt may take until validation stops improving."""

LESTER = Recipe(
    length=100,
    init="labels",
    steps=30_000,
    batch_size=32,
    lr=0.3,
    optimizer="adafactor",
    weight_decay=1e-5,
    evaluate_every=500,
)
"""Lester et al. 2021, section 3 and appendix A.1; checkpoints chosen on validation."""

MASKED = replace(LESTER, init="vocab", lr=1e-2, optimizer="adam", schedule="linear", warmup=100)
"""The paper's masked language models: Adam, batch 32, the rate from its range 5e-5 … 1e-1."""

FINE_TUNING = Recipe(steps=2000, batch_size=16, lr=1e-4, optimizer="adamw", evaluate_every=200)


def training_recipe(backbone: str, profile: str) -> Recipe:
    """What a prompt for this model is trained by: the paper's protocol, or the readout's own."""
    return LESTER if profile == "full" else RECIPES[readout_of(backbone)]


def recipe_for(backbone: str, profile: str, length: int) -> Recipe:
    """As :func:`training_recipe`, by the protocol of Liu, Cheng and Liu 2024 for its models."""
    if profile == "full":
        return replace(LESTER if "t5" in backbone.lower() else MASKED, length=length)
    return until_validation_stops(replace(RECIPES[readout_of(backbone)], length=length))


def until_validation_stops(recipe: Recipe) -> Recipe:
    """The same recipe with steps to spare, ended where validation has stopped improving.

    The best weights on a sample of 500 validation examples are kept; a prompt of which four
    evaluations in a row are no better has converged.
    """
    return replace(
        recipe,
        steps=CONVERGED_WITHIN * recipe.steps,
        schedule="constant",
        evaluate_every=max(1, recipe.steps // 4),
        validation_limit=500,
        patience=4,
    )
