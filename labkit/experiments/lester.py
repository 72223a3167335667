"""The ablations of Lester et al. 2021 (figure 3), and their comparison with fine-tuning (figure 1).

On the default models: ``lester-length``, ``lester-init`` and ``learning-rate``; those about T5's
pre-training need T5 checkpoints (``full`` profile, from the Hub, or ``backbone`` with a folder).
"""

from __future__ import annotations

from dataclasses import replace

from labkit.core.errors import LabError
from labkit.experiments.base.models import short
from labkit.experiments.base.recipe import FINE_TUNING, LESTER, RECIPES, training_recipe
from labkit.experiments.base.setting import Experiment
from labkit.experiments.base.verdicts import Claim
from labkit.experiments.training import TrainingSetting, training_row


def _length_settings(backbone: str | None, profile: str) -> list[TrainingSetting]:
    name = backbone or ("google/t5-base-lm-adapt" if profile == "full" else "smollm2")
    recipe = training_recipe(name, profile)
    return [
        TrainingSetting(f"{n}", name, replace(recipe, length=n)) for n in (20, 1, 5, 100, 150)
    ]  # the usual length first: a stopped run leaves the row that all others are compared with


def _init_settings(backbone: str | None, profile: str) -> list[TrainingSetting]:
    name = backbone or ("google/t5-base-lm-adapt" if profile == "full" else "smollm2")
    recipe = training_recipe(name, profile)
    return [
        TrainingSetting(how, name, replace(recipe, init=how))
        for how in ("vocab", "labels", "uniform")
    ]


def _rate_settings(backbone: str | None, profile: str) -> list[TrainingSetting]:
    name = backbone or ("google/t5-base-lm-adapt" if profile == "full" else "minilm")
    recipe = training_recipe(name, profile)
    return [
        TrainingSetting(f"{recipe.lr * factor:g}", name, replace(recipe, lr=recipe.lr * factor))
        for factor in (1, 0.1, 0.3, 3, 10)
    ]


def _objective_settings(backbone: str | None, profile: str) -> list[TrainingSetting]:
    recipe = LESTER if profile == "full" else RECIPES["seq2seq"]
    adapted = backbone or _t5("google/t5-base-lm-adapt", profile)
    plain = backbone or "google/t5-v1_1-base"
    # a published checkpoint is adapted already; one given by the user is adapted here
    steps = ADAPTATION_STEPS[profile][-1] if backbone else 0
    return [
        TrainingSetting("span corruption", plain, recipe),
        TrainingSetting("span corruption + sentinel", plain, recipe, sentinel=True),
        TrainingSetting("LM adaptation", adapted, recipe, adaptation=steps),
    ]


ADAPTATION_STEPS = {"small": (0, 50, 100), "full": (0, 10_000, 20_000, 50_000, 100_000)}


def _adaptation_settings(backbone: str | None, profile: str) -> list[TrainingSetting]:
    name = backbone or _t5("google/t5-v1_1-base", profile)
    recipe = LESTER if profile == "full" else RECIPES["seq2seq"]
    return [
        TrainingSetting(f"{steps} steps", name, recipe, adaptation=steps)
        for steps in ADAPTATION_STEPS[profile]
    ]


def _scale_settings(backbone: str | None, profile: str) -> list[TrainingSetting]:
    sizes = ("small", "base", "large", "xl", "xxl")
    given = backbone.split(",") if backbone else None
    names = given or [_t5(f"google/t5-{size}-lm-adapt", profile) for size in sizes]
    recipe = LESTER if profile == "full" else RECIPES["seq2seq"]
    tuned = FINE_TUNING if profile == "full" else replace(FINE_TUNING, steps=200)
    settings = []
    for name in names:
        settings.append(TrainingSetting(f"{short(name)}: prompt", name, recipe))
        settings.append(
            TrainingSetting(f"{short(name)}: fine-tuning", name, tuned, method="fine-tuning")
        )
    return settings


def _t5(name: str, profile: str) -> str:
    if profile != "full":
        raise LabError(
            "this experiment is about T5, and no T5 comes with the default models; use --profile "
            "full with the network on, or give --backbone with a T5 folder"
        )
    return name


EXPERIMENTS = (
    Experiment(
        "lester-length",
        "prompt length (figure 3a)",
        _length_settings,
        training_row,
        (
            Claim("20 virtual tokens score higher than one", "20", "1"),
            Claim("100 virtual tokens score higher than 20", "100", "20"),
        ),
    ),
    Experiment(
        "lester-init",
        "initialisation (figure 3b)",
        _init_settings,
        training_row,
        (
            Claim("sampled vocabulary scores higher than uniform", "vocab", "uniform"),
            Claim("class labels score higher than uniform", "labels", "uniform"),
            Claim("class labels score higher than sampled vocabulary", "labels", "vocab"),
        ),
    ),
    Experiment("learning-rate", "learning rate, ours", _rate_settings, training_row),
    Experiment(
        "lester-objective",
        "pre-training objective of T5 (figure 3c)",
        _objective_settings,
        training_row,
        (
            Claim(
                "LM adaptation scores higher than span corruption",
                "LM adaptation",
                "span corruption",
            ),
            Claim(
                "a sentinel scores higher than none",
                "span corruption + sentinel",
                "span corruption",
            ),
        ),
    ),
    Experiment(
        "lester-adaptation",
        "how long the LM adaptation of T5 (figure 3d)",
        _adaptation_settings,
        training_row,
        (Claim("the longest adaptation scores higher than none", "LAST", "FIRST"),),
    ),
    Experiment(
        "lester-scale",
        "prompt tuning against fine-tuning over model sizes (figure 1)",
        _scale_settings,
        training_row,
        (Claim("at the largest size, fine-tuning scores higher", "LAST", "PREVIOUS"),),
    ),
)
