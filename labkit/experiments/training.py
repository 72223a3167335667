"""Experiments about training: what a prompt reaches under one recipe or another.

The ablations of Lester et al. 2021 (figure 3), their comparison with fine-tuning (figure 1), and a
trained prompt beside its controls. On the default models: ``soft-against-hard``,
``lester-length``, ``lester-init`` and ``learning-rate``; those about T5's pre-training need T5
checkpoints (``full`` profile, from the Hub, or ``backbone`` with a folder).
"""

from __future__ import annotations

import functools
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers.optimization import Adafactor

from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.core.loading import load_backbone
from labkit.core.prompted_model import Evaluation, PromptedModel, evaluate
from labkit.core.tasks import Task, load_task
from labkit.core.tuning import History, fit
from labkit.experiments.grid import (
    Claim,
    Experiment,
    Place,
    Recipe,
    Setting,
    as_digits,
    file_name,
    short,
)
from labkit.hard_prompt import score_grid, sentiment_grid
from labkit.soft_prompt import initialise, save_prompt

# Settled on validation with one seed: for causal models a short warm-up and linear decay, for the
# encoder one epoch of larger batches at a higher rate.
RECIPES = {
    "causal": Recipe(lr=5e-3, schedule="linear", warmup=10),
    "encoder": Recipe(lr=1e-2, batch_size=32, steps=266, schedule="linear", warmup=10, clip=1.0),
    "mlm": Recipe(),
    "seq2seq": Recipe(),
}
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

VALIDATION_SENTENCES = 300
"""Sample of validation on which the best hard prompt is chosen."""

FINE_TUNING = Recipe(steps=2000, batch_size=16, lr=1e-4, optimizer="adamw", evaluate_every=200)


@dataclass(frozen=True)
class TrainingSetting(Setting):
    """A line whose prompt or backbone is trained.

    Attributes:
        method: ``prompt``, ``fine-tuning``, or a control: ``hard`` (the best hard prompt, chosen
            on validation) or ``untrained`` (the prompt as drawn).
        sentinel: T5 only, the target begins with the span-corruption sentinel.
        adaptation: T5 only, steps of continued training as a prefix language model.
    """

    method: str = "prompt"
    sentinel: bool = False
    adaptation: int = 0


# ---- rows ----


def training_row(setting: TrainingSetting, task: Task, seed: int, place: Place) -> dict:
    """Train by the setting's recipe, evaluate on test, keep the prompt in the place's folder."""
    same = _same_row(setting, task.name, seed, place)
    if same is not None:
        return same
    checkpoint = place.folder / f"{file_name(setting.name)}-seed{seed}.run"
    act = _hard if setting.method == "hard" else trained
    model, prompt, result, made = act(setting, task, seed, place.limit, checkpoint)
    row = {
        "setting": setting.name,
        "seed": seed,
        "backbone": setting.backbone,
        "method": setting.method,
        **made,
        **scores_of(result),
    }
    if prompt is not None:
        kept = place.folder / f"{file_name(setting.name)}-seed{seed}"
        save_prompt(kept, prompt, model, command=place.command, seed=seed, scores=_told(row))
    shutil.rmtree(checkpoint, ignore_errors=True)
    return row


def trained(
    setting: TrainingSetting, task: Task, seed: int, limit: int | None, checkpoint: Path | None
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
    history = History()
    if setting.method != "untrained":
        history = fit(
            model,
            prompt,
            task,
            recipe,
            seed=seed,
            checkpoint=checkpoint,
            resume=checkpoint is not None,
        )
    result = evaluate(model, prompt, task, "test", limit=limit)
    return (
        model,
        prompt,
        result,
        {
            **asdict(recipe),
            "template": model.template.text,
            "loss": float(np.mean(history.losses[-20:])) if history.losses else None,
            "best_step": history.best_step,
            "seconds": round(history.seconds, 1),
            **backbone.where(),
        },
    )


def _hard(
    setting: TrainingSetting, task: Task, seed: int, limit: int | None, checkpoint: Path | None
) -> tuple[PromptedModel, None, Evaluation, dict]:
    """The best cell of the course's grid on validation, calibrations and examples included."""
    started = time.perf_counter()
    backbone = shared_backbone(setting.backbone)
    templates, verbalizers = sentiment_grid(backbone.readout, task, seed)
    grid = score_grid(backbone, task, templates, verbalizers, "validation", VALIDATION_SENTENCES)
    cell = grid.best()
    model = PromptedModel(backbone, templates[cell.template], verbalizers[cell.words])
    result = evaluate(model, None, task, "test", limit=limit, bias=grid.bias(cell))
    return (
        model,
        None,
        result,
        {
            **cell._asdict(),
            "cells": len(grid.cells()),
            "validation": float(grid.correct(cell).mean()),
            "validation_n": len(grid.targets),
            "seconds": round(time.perf_counter() - started, 1),
            **backbone.where(),
        },
    )


@functools.lru_cache(maxsize=2)  # the rows of a table share their model
def shared_backbone(name: str, dtype: torch.dtype | None = None) -> Backbone:
    """A frozen backbone, loaded once for all rows of this process."""
    return load_backbone(name, dtype=dtype)


def scores_of(result: Evaluation) -> dict:
    """The scores of a row; for accuracy also which examples were right, as a string of 0 and 1."""
    scores = {
        "metric": result.metric,
        "value": result.value,
        "ci95": list(result.ci95),
        "n": result.n,
        "majority": result.majority,
    }
    if result.metric == "accuracy":
        scores["correct"] = as_digits(result.correct)
    return scores


def _told(row: Mapping) -> dict:
    """What a saved prompt says of its scores: the row without its list of right answers."""
    return {key: row[key] for key in ("metric", "value", "ci95", "n", "majority")}


def adapted(name: str, steps: int, seed: int, batch_size: int = 16) -> Backbone:
    """T5 trained on as a prefix language model (Lester et al. 2021, section 3.2), then frozen.

    Each text is cut at a random piece; the encoder reads the first part and the decoder writes the
    rest. The paper adapts on C4 for up to 100,000 steps; the text at hand here is the 5,190
    sentences of the editorials, so this shows the procedure rather than the paper's result.
    """
    backbone = load_backbone(name, trainable=True)
    if backbone.readout != "seq2seq":
        raise LabError(f"{name} is no sequence-to-sequence model; LM adaptation is for T5")
    texts = [example.text for example in load_task("editorials-valence").split("train")]
    random = np.random.default_rng(seed)
    optimizer = Adafactor(
        backbone.model.parameters(), lr=1e-3, relative_step=False, scale_parameter=False
    )
    backbone.train()
    for batch in _prefix_batches(backbone, texts, steps, batch_size, random):
        optimizer.zero_grad()
        backbone.model(**batch).loss.backward()
        optimizer.step()
    backbone.trainable = False
    backbone.model.requires_grad_(False)
    return backbone.eval()


def _prefix_batches(
    backbone: Backbone, texts: Sequence[str], steps: int, batch_size: int, random
) -> Iterator[dict[str, torch.Tensor]]:
    tokenizer = backbone.tokenizer
    cut = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    pieces = [ids[: backbone.max_length - 1] for ids in cut if len(ids) > 3]
    for _ in range(steps):
        chosen = [pieces[i] for i in random.integers(len(pieces), size=batch_size)]
        cuts = [int(random.integers(1, len(ids))) for ids in chosen]
        inputs = [ids[:cut] for ids, cut in zip(chosen, cuts, strict=True)]
        targets = [
            [*ids[cut:], tokenizer.eos_token_id] for ids, cut in zip(chosen, cuts, strict=True)
        ]
        yield {
            "input_ids": _padded(inputs, tokenizer.pad_token_id, backbone.device),
            "attention_mask": _padded([[1] * len(ids) for ids in inputs], 0, backbone.device),
            "labels": _padded(targets, -100, backbone.device),
        }


def _padded(rows: Sequence[Sequence[int]], fill: int, device: torch.device) -> torch.Tensor:
    length = max(map(len, rows))
    return torch.tensor([[*row, *[fill] * (length - len(row))] for row in rows], device=device)


def _same_row(setting: TrainingSetting, task: str, seed: int, place: Place) -> dict | None:
    """A finished row of another experiment in ``out`` that trained the same thing, if any."""
    wanted = {**asdict(setting.recipe), "backbone": setting.backbone, "seed": seed}
    plain = setting.method == "prompt" and not setting.sentinel and not setting.adaptation
    if not plain or place.limit is not None:
        return None
    for file in sorted(place.out.glob(f"*-{short(setting.backbone)}-{task}.json")):
        for row in json.loads(file.read_text(encoding="utf-8"))["rows"]:
            made = {**asdict(Recipe()), **row}  # a row may be older than a field of the recipe
            if row["method"] == "prompt" and wanted.items() <= made.items():
                return {**row, "setting": setting.name}
    return None


# ---- the experiments ----


def _recipe(backbone: str, profile: str) -> Recipe:
    if profile == "full":
        return LESTER
    return RECIPES[shared_backbone(backbone).readout]


def _length_settings(backbone: str | None, profile: str) -> list[TrainingSetting]:
    name = backbone or ("google/t5-base-lm-adapt" if profile == "full" else "smollm2")
    recipe = _recipe(name, profile)
    return [
        TrainingSetting(f"{n}", name, replace(recipe, length=n)) for n in (20, 1, 5, 100, 150)
    ]  # the usual length first: a stopped run leaves the row that all others are compared with


def _init_settings(backbone: str | None, profile: str) -> list[TrainingSetting]:
    name = backbone or ("google/t5-base-lm-adapt" if profile == "full" else "smollm2")
    recipe = _recipe(name, profile)
    return [
        TrainingSetting(how, name, replace(recipe, init=how))
        for how in ("vocab", "labels", "uniform")
    ]


def _rate_settings(backbone: str | None, profile: str) -> list[TrainingSetting]:
    name = backbone or ("google/t5-base-lm-adapt" if profile == "full" else "minilm")
    recipe = _recipe(name, profile)
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


def _control_settings(backbone: str | None, profile: str) -> list[TrainingSetting]:
    name = backbone or "smollm2"
    recipe = _recipe(name, profile)
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
        training_row,
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
    ),
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
