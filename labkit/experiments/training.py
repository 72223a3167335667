"""Rows about training: what a prompt, or the backbone itself, reaches under a recipe."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from torch import nn

from labkit.core.loading import load_backbone
from labkit.core.prompted_model import Evaluation, PromptedModel, evaluate
from labkit.core.recipe import Recipe
from labkit.core.tasks import Task
from labkit.core.tuning import History, OnStep, fit
from labkit.experiments.base.kept import checkpoint_beside
from labkit.experiments.base.models import shared_backbone
from labkit.experiments.base.rows import scores_of
from labkit.experiments.base.setting import Place, Setting
from labkit.experiments.lm_adaptation import adapted
from labkit.soft_prompt import initialise, save_prompt


@dataclass(frozen=True)
class TrainingSetting(Setting):
    """A line whose prompt or backbone is trained.

    Attributes:
        method: ``prompt``, ``fine-tuning``, or a control: ``untrained`` (the prompt as drawn), or
            ``hard`` (see `labkit.experiments.soft_against_hard`).
        sentinel: T5 only, the target begins with the span-corruption sentinel.
        adaptation: T5 only, steps of continued training as a prefix language model.
    """

    method: str = "prompt"
    sentinel: bool = False
    adaptation: int = 0


def training_row(setting: TrainingSetting, task: Task, seed: int, place: Place) -> dict:
    """Train by the setting's recipe, evaluate on test, keep the prompt in the place's folder."""
    folder = place.of_row(setting, seed)
    tell = place.on_step(setting.recipe.steps)
    with checkpoint_beside(folder) as checkpoint:
        model, prompt, result, notes = trained(setting, task, seed, place.limit, checkpoint, tell)
        scores = scores_of(result)
        if prompt is not None:
            about = {key: scores[key] for key in ("metric", "value", "ci95", "n", "majority")}
            save_prompt(folder, prompt, model, command=place.command, seed=seed, scores=about)
    return {"method": setting.method, **notes, **scores}


def trained(
    setting: TrainingSetting,
    task: Task,
    seed: int,
    limit: int | None,
    checkpoint: Path | None,
    on_step: OnStep | None = None,
) -> tuple[PromptedModel, nn.Module | None, Evaluation, dict]:
    """A prompt or a backbone trained by the setting's recipe (or a prompt left as drawn)."""
    recipe = setting.recipe
    tuning_weights = setting.method == "fine-tuning"
    if setting.adaptation:
        backbone = adapted(setting.backbone, setting.adaptation, seed)
    elif tuning_weights:
        backbone = load_backbone(setting.backbone, trainable=True)
    else:
        backbone = shared_backbone(setting.backbone)
    model = PromptedModel.for_task(backbone, task, soft=not tuning_weights)
    model.sentinel = model.sentinel or setting.sentinel
    prompt = None
    if not tuning_weights:
        prompt = initialise(recipe.init, backbone, recipe.length, model.verbalizer, seed)
    result, notes = fitted(
        model, prompt, task, recipe, seed, limit, checkpoint, on_step, setting.method != "untrained"
    )
    return model, prompt, result, notes


def fitted(
    model: PromptedModel,
    prompt: nn.Module | None,
    task: Task,
    recipe: Recipe,
    seed: int,
    limit: int | None,
    checkpoint: Path | None,
    on_step: OnStep | None,
    train: bool,
) -> tuple[Evaluation, dict]:
    """Train by the recipe, or leave all as drawn; what test says then, and the row's notes."""
    history = History()
    if train:
        history = fit(
            model,
            prompt,
            task,
            recipe,
            seed=seed,
            checkpoint=checkpoint,
            resume=checkpoint is not None,
            on_step=on_step,
        )
    notes = {
        **asdict(recipe),
        "template": model.template.text,
        "loss": float(np.mean(history.losses[-20:])) if history.losses else None,
        "best_step": history.best_step,
        "seconds": round(history.seconds, 1),
        **model.backbone.where(),
    }
    return evaluate(model, prompt, task, "test", limit=limit), notes
