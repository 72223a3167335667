"""Cross-model transfer: prompts of one model in front of another, through a learned map (TPT, 6).

A row is a task with one seed. The map from the source model's width to this one's is trained on
that task alone, with the prompt that ``transfer`` kept for it; then every other task's prompt goes
through it and is scored on its own task. What comes out may be the doing of the map and not of the
prompt that went in, so each task is scored under two more inputs: the prompt that the map was
trained with, and vectors that no task has trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
from torch import Tensor

from labkit.core.errors import LabError
from labkit.core.loading import readout_of
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.statistics import Difference, paired_difference
from labkit.core.tasks import Task, load_task
from labkit.experiments.base.models import shared_backbone
from labkit.experiments.base.report import cells, report_head
from labkit.experiments.base.rows import from_digits, scores_of
from labkit.experiments.base.setting import Experiment, Place, Setting
from labkit.experiments.base.verdicts import signed
from labkit.experiments.transfer import (
    TEST_EXAMPLES,
    fit_apart,
    here,
    kept_prompts,
    library_files,
    short_recipe,
)
from labkit.prompt_transfer import ProjectedPrompt, is_seen
from labkit.soft_prompt import SoftPrompt

SOURCE_MODEL = {"causal": "minilm", "encoder": "smollm2"}
"""Whose prompts are brought over, by the readout of the model that reads them."""

TASKS = ("rt-polarity", "amazon-valence", "subj", "tweets-valence", "cr")
"""Tasks that a prompt learns on both default models: else there is nothing to bring over."""

TRAINED_ON = TASKS[:3]
MAP_RATE = 1e-4
"""Best of five (3e-5 to 2e-3) on 200 validation sentences of rt-polarity, with a seed of the map
that no row uses. At the free vectors' rate, 5e-3, the map learns next to nothing."""

OWN, OTHER, UNTRAINED = INPUTS = ("own prompt", "the map's prompt", "untrained vectors")

Pair = tuple[str, str]  # the task that the map was trained on, the target


@dataclass(frozen=True)
class CrossSetting(Setting):
    """``task`` trains the map; ``source_model`` is whose prompts are read."""

    source_model: str = "minilm"


def cross_row(setting: CrossSetting, task: Task, seed: int, place: Place) -> dict:
    """Train the map on one task, then read every other task's prompt through it."""
    backbone, recipe = shared_backbone(setting.backbone), setting.recipe
    limit = place.limit or TEST_EXAMPLES
    library = kept_prompts(setting.source_model, seed, place)
    targets = {name: load_task(name) for name in setting.targets if name in library}
    model = PromptedModel.for_task(backbone, task)
    prompt = ProjectedPrompt(_of(library, task.name, place), backbone, seed=seed)
    training = fit_apart(model, prompt, task, [task, *targets.values()], recipe, seed, place)
    drawn = SoftPrompt.from_vocab(
        shared_backbone(setting.source_model), len(library[task.name]), seed=seed
    )
    by_target = {}
    for index, (name, target) in enumerate(targets.items()):
        place.tell(index, len(targets), f"scoring on {name}")
        inputs = (library[name], library[task.name], drawn().detach())
        there = PromptedModel.for_task(backbone, target)
        scores = {
            kind: scores_of(evaluate(there, prompt.on(vectors), target, "test", limit=limit))
            for kind, vectors in zip(INPUTS, inputs, strict=True)
        }
        by_target[name] = {"scores": scores, "seen": is_seen(task.name, name, setting.backbone)}
    return {
        "source_model": setting.source_model,
        "task": task.name,
        "method": "projected prompt",
        **training,
        **asdict(recipe),
        **backbone.where(),
        "targets": by_target,
        **by_target[task.name]["scores"][OWN],
    }


def _of(library: Mapping[str, Tensor], task: str, place: Place) -> Tensor:
    if task not in library:
        raise LabError(
            f"no prompt for {task} lies in {place.out}: there are {', '.join(library)}; "
            "`labkit run transfer --resume` makes the missing ones"
        )
    return library[task]


def mean_scores(result: Mapping) -> dict[Pair, dict[str, float]]:
    """(trained on, target) → input → accuracy, mean over seeds; the map's own task stands first."""
    return {
        pair: {
            kind: float(np.mean([inputs[kind]["value"] for inputs in scores])) for kind in INPUTS
        }
        for pair, scores in _by_pair(result).items()
    }


def gains_of_own(result: Mapping, over: str) -> dict[Pair, Difference]:
    """(trained on, target) → own prompt minus another input: paired, over all seeds."""
    gains = {}
    for (trained_on, target), scores in _by_pair(result).items():
        if target == trained_on:
            continue
        right = [
            np.stack([from_digits(inputs[kind]["correct"]) for inputs in scores])
            for kind in (OWN, over)
        ]
        gains[trained_on, target] = paired_difference(*right)
    return gains


def _by_pair(result: Mapping) -> dict[Pair, list[Mapping]]:
    """(trained on, target) → the scores of each seed."""
    by_pair: dict[Pair, list[Mapping]] = {}
    for row in result["rows"]:
        for target in sorted(row["targets"], key=lambda name: name != row["task"]):
            scores = row["targets"][target]["scores"]
            by_pair.setdefault((row["task"], target), []).append(scores)
    return by_pair


def seen_pairs(result: Mapping) -> set[Pair]:
    """Those (trained on, target) that share a data set or the reading model's own training."""
    return {
        (row["task"], target)
        for row in result["rows"]
        for target, scored in row["targets"].items()
        if scored["seen"]
    }


def as_markdown(result: Mapping) -> str:
    """A line per map and target: means over seeds, and the paired differences of the inputs."""
    heads = [
        "map trained on",
        "target",
        *INPUTS,
        "majority",
        f"own − {OTHER}",
        f"own − {UNTRAINED}",
    ]
    lines = report_head(result, heads)
    over = [gains_of_own(result, kind) for kind in (OTHER, UNTRAINED)]
    seen = seen_pairs(result)
    majority = {
        target: scored["scores"][OWN]["majority"]
        for row in result["rows"]
        for target, scored in row["targets"].items()
    }
    for pair, means in mean_scores(result).items():
        trained_on, target = pair
        differences = [gains[pair] for gains in over if pair in gains]
        lines.append(
            cells(
                [
                    trained_on,
                    f"({target})" if pair in seen else target,
                    *(f"{mean:.3f}" for mean in means.values()),
                    f"{majority[target]:.3f}",
                    *map(signed, differences),
                    *("–" for _ in over[len(differences) :]),
                ]
            )
        )
    lines += ["", "In brackets: targets that share a data set with the task of the map."]
    return "\n".join(lines) + "\n"


def _settings(backbone: str | None, profile: str) -> list[CrossSetting]:
    name = backbone or "smollm2"
    readout = readout_of(name)
    source = SOURCE_MODEL.get(readout, "minilm")
    recipe = replace(short_recipe(readout), lr=MAP_RATE)
    targets = tuple(task for task in TASKS if here(task))
    return [
        CrossSetting(task, name, recipe, task=task, source_model=source, targets=targets)
        for task in TRAINED_ON
        if task in targets
    ]


EXPERIMENTS = (
    Experiment(
        "cross-model",
        "prompts of one model read by another through a learned map (TPT, section 6), ours",
        _settings,
        cross_row,
        report=as_markdown,
        covers="tasks",
        inputs=lambda setting, seed, place: library_files(setting.source_model, seed, place),
    ),
)
