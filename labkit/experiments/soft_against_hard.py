"""``soft-against-hard``: a trained prompt beside its controls."""

from __future__ import annotations

import time

from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.tasks import Task
from labkit.experiments.base.models import shared_backbone
from labkit.experiments.base.recipe import training_recipe
from labkit.experiments.base.rows import scores_of
from labkit.experiments.base.setting import Experiment, Place
from labkit.experiments.base.verdicts import Claim
from labkit.experiments.training import TrainingSetting, training_row
from labkit.hard_prompt import score_grid, sentiment_grid

VALIDATION_SENTENCES = 300
"""Sample of validation on which the best hard prompt is chosen."""


def control_row(setting: TrainingSetting, task: Task, seed: int, place: Place) -> dict:
    """The best hard prompt, or a prompt that is trained or left as drawn."""
    if setting.method == "hard":
        return hard_row(setting, task, seed, place)
    return training_row(setting, task, seed, place)


def hard_row(setting: TrainingSetting, task: Task, seed: int, place: Place) -> dict:
    """The best cell of the course's grid on validation, calibrations and examples included."""
    started = time.perf_counter()
    backbone = shared_backbone(setting.backbone)
    templates, verbalizers = sentiment_grid(backbone.readout, task, seed)
    grid = score_grid(backbone, task, templates, verbalizers, "validation", VALIDATION_SENTENCES)
    cell = grid.best()
    model = PromptedModel(backbone, templates[cell.template], verbalizers[cell.words])
    result = evaluate(model, None, task, "test", limit=place.limit, bias=grid.bias(cell))
    return {
        "method": setting.method,
        **cell._asdict(),
        "cells": len(grid.cells()),
        "validation": float(grid.correct(cell).mean()),
        "validation_n": len(grid.targets),
        "seconds": round(time.perf_counter() - started, 1),
        **backbone.where(),
        **scores_of(result),
    }


def _control_settings(backbone: str | None, profile: str) -> list[TrainingSetting]:
    name = backbone or "smollm2"
    recipe = training_recipe(name, profile)
    return [
        TrainingSetting("soft prompt", name, recipe),
        TrainingSetting("best hard prompt", name, recipe, method="hard"),
        TrainingSetting("untrained soft prompt", name, recipe, method="untrained"),
    ]


EXPERIMENTS = (
    Experiment(
        "soft-against-hard",
        "a trained prompt beside its controls, ours",
        _control_settings,
        control_row,
        (
            Claim(
                "the soft prompt scores higher than the best hard prompt",
                "soft prompt",
                "best hard prompt",
            ),
            Claim(
                "training scores higher than not training",
                "soft prompt",
                "untrained soft prompt",
            ),
        ),
        rows=training_row.__name__,
    ),
)
