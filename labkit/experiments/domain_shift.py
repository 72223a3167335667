"""Domain shift: trained on film reviews, scored on other domains (Lester et al. 2021, section 5).

A row is a method with one seed. A prompt, or the backbone's own weights, is trained on the task
asked for and scored on the same question in every other domain, with that domain's template and
label words. No training text equals, contains or is contained in a text that is scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from labkit.core.loading import readout_of
from labkit.core.statistics import Difference, paired_difference
from labkit.core.tasks import Task, load_task, without_overlap
from labkit.experiments.base.kept import checkpoint_beside
from labkit.experiments.base.recipe import FINE_TUNING, RECIPES
from labkit.experiments.base.report import cells, report_head
from labkit.experiments.base.rows import from_digits, scores_of
from labkit.experiments.base.setting import Experiment, Place
from labkit.experiments.base.verdicts import signed
from labkit.experiments.training import TrainingSetting, trained
from labkit.experiments.transfer import here, scores_on
from labkit.prompt_transfer import is_seen

DOMAINS = ("amazon-valence", "tweets-valence", "editorials-valence", "cr")
METHODS = ("prompt", "fine-tuning")
TEST_EXAMPLES = 1000
FINE_TUNING_STEPS = {"small": 500, "full": 2000}
"""Small: as many sentences as an encoder's prompt sees."""


def shift_row(setting: TrainingSetting, task: Task, seed: int, place: Place) -> dict:
    """Train at home; score at home and in every other domain."""
    limit = place.limit or TEST_EXAMPLES
    readout = readout_of(setting.backbone)
    task = task.for_readout(readout)
    domains = {name: load_task(name).for_readout(readout) for name in setting.targets}
    tested = [e for of_domain in (task, *domains.values()) for e in of_domain.take("test", limit)]
    fair = without_overlap(task.split("train"), tested)
    home = task.with_splits(train=fair)
    with checkpoint_beside(place.of_row(setting, seed)) as checkpoint:
        model, prompt, result, training = trained(
            setting, home, seed, limit, checkpoint, place.on_step(setting.recipe.steps)
        )
    targets = scores_on(domains, model.backbone, prompt, limit, place)
    for name, scores in targets.items():
        scores["seen"] = is_seen(task.name, name, setting.backbone)
    return {
        "task": task.name,
        "method": setting.method,
        "train_n": len(fair),
        **training,
        "targets": {task.name: scores_of(result) | {"seen": False}, **targets},
        **scores_of(result),
    }


def shifts(result: Mapping) -> dict[str, Difference]:
    """Prompt minus fine-tuning on every target: paired, over the seeds that have both."""
    right = {(row["method"], row["seed"]): row["targets"] for row in result["rows"]}
    seeds = compared_seeds(result)
    if not seeds:
        return {}
    return {
        target: paired_difference(
            *(
                np.stack([from_digits(right[method, seed][target]["correct"]) for seed in seeds])
                for method in METHODS
            )
        )
        for target in right[METHODS[0], seeds[0]]
    }


def compared_seeds(result: Mapping) -> list[int]:
    """Seeds that have both methods."""
    trained = [(row["method"], row["seed"]) for row in result["rows"]]
    return [s for method, s in trained if method == METHODS[0] and (METHODS[1], s) in trained]


def shift_as_markdown(result: Mapping) -> str:
    """Methods × targets, means over seeds, and the paired difference below."""
    targets = list(result["rows"][0]["targets"])
    lines = report_head(result, ["trained", *targets])
    for method in METHODS:
        of_method = [row["targets"] for row in result["rows"] if row["method"] == method]
        if of_method:
            means = [
                np.mean([scores[target]["value"] for scores in of_method]) for target in targets
            ]
            lines.append(cells([f"{method}, {len(of_method)} seeds", *(f"{m:.3f}" for m in means)]))
    differences = shifts(result)
    if differences:
        lines.append(cells(["prompt − fine-tuning [95 %]", *map(signed, differences.values())]))
    return "\n".join(lines) + "\n"


def _settings(backbone: str | None, profile: str) -> list[TrainingSetting]:
    name = backbone or "minilm"
    weights = replace(FINE_TUNING, steps=FINE_TUNING_STEPS[profile], evaluate_every=100)
    recipes = {"prompt": RECIPES[readout_of(name)], "fine-tuning": weights}
    domains = tuple(domain for domain in DOMAINS if here(domain))
    return [
        TrainingSetting(method, name, recipes[method], method=method, targets=domains)
        for method in METHODS
    ]


EXPERIMENTS = (
    Experiment(
        "domain-shift",
        "film reviews to other domains: a prompt against fine-tuning (Lester, section 5)",
        _settings,
        shift_row,
        report=shift_as_markdown,
    ),
)
