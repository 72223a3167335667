"""``labkit power``: how many prompts, orders and sentences a table of orders needs.

The variances come from matrices that an earlier run has stored, those of the course by default; the
times are measured here. What is asked for is the half-width of the mean order effect's interval.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from labkit.core import scoring
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel
from labkit.core.tasks import Task, load_task
from labkit.core.tuning import fit
from labkit.experiments.base.models import shared_backbone, short
from labkit.experiments.base.report import cells, table_head
from labkit.experiments.base.result_file import result_files
from labkit.experiments.base.rows import own_matrix
from labkit.experiments.base.runner import chosen, for_task
from labkit.experiments.base.setting import Experiment
from labkit.experiments.order import (
    OrderSetting,
    available_orders,
    order_row,
    unread_examples,
)
from labkit.experiments.order_reading import matrix_of
from labkit.shuffle_probe import Components, Costs, Plan, Probe, cheapest, components
from labkit.soft_prompt import initialise

HALF_WIDTH = 0.015
FEW, MANY = 8, 64
"""Sentences that are scored to tell what an order costs from what a sentence costs."""

TRIAL_STEPS = 2

BEYOND = "more sentences"
"""The design in which each prompt reads a draw of its own, beyond the test split."""


def plan_table(
    experiment: Experiment,
    *,
    stored: Path,
    profile: str = "small",
    backbone: str | None = None,
    task: str | None = None,
    only: Sequence[str] = (),
    half_width: float = HALF_WIDTH,
    at_least_prompts: int = 1,
) -> dict:
    """The cheapest plan for each row of a table that has stored matrices.

    Args:
        stored: folder of results with the matrices of an earlier run, or of a pilot.
        only: names of rows, or patterns.
        half_width: of the mean effect's 95 % interval, as a share: 0.015 are 1.5 points.

    Raises:
        LabError: for a table whose rows keep no matrices, or one of which none is stored.
    """
    if experiment.run_row is not order_row:
        raise LabError(
            f"rows of {experiment.name} keep no matrix to plan by; plan one of table1 to table6, "
            "or swaps"
        )
    settings = chosen(for_task(experiment.settings(backbone, profile), task), only)
    rows, missing, correlations = [], [], []
    for setting in settings:
        data = load_task(setting.task or task or experiment.tasks[profile])
        probes = stored_probes(experiment.name, setting, data.name, stored)
        if not probes:
            missing.append(setting.name)
            continue
        if probes[0].metric != "accuracy" and len(settings) > 1:
            correlations.append(setting.name)  # its variance has no such parts: no reason to stop
            continue
        rows.append(_row(setting, data, probes, half_width, at_least_prompts))
    if not rows:
        names = ", ".join([*missing, *correlations])
        raise LabError(
            f"no matrix of right and wrong answers of {names} is stored in {stored}; make a pilot "
            f"with `labkit run {experiment.name} --prompts 2 --limit 128 --out FOLDER` and give it "
            "with --stored"
        )
    return {
        "name": experiment.name,
        "half_width": half_width,
        "rows": rows,
        "without_matrix": missing,
        "correlations": correlations,
    }


def stored_probes(name: str, setting: OrderSetting, task: str, stored: Path) -> list[Probe]:
    """The matrices of a setting's rows, one per prompt, all on the same sentences.

    A model may stand in two files of a table, alone and beside another, trained otherwise there:
    those of the file with the most prompts are taken, and never a mixture. Rows that wait to be
    made again are a pilot too, where there are no others.
    """
    best: list[Probe] = []
    for result, rows in _parts(result_files(stored)):
        of_file = {
            stored / matrix_of(row, result["file"]): row
            for row in rows
            if result["name"] == name
            and row["setting"] == setting.name
            and row.get("backbone") in (setting.backbone, short(setting.backbone))
            and row.get("task", task) == task
        }
        read = [own_matrix(of_file[file], file) for file in sorted(of_file)]
        probes = [probe for probe in read if probe is not None]
        for first in probes:
            alike = [p for p in probes if np.array_equal(p.targets, first.targets)]
            best = alike if len(alike) > len(best) else best
    return best


def _parts(results: Iterable[Mapping]) -> Iterator[tuple[Mapping, Sequence[Mapping]]]:
    """Rows that were made alike, and the result that they belong to."""
    for result in results:
        yield result, result["rows"]
        yield result, result.get("stale", ())


def _row(
    setting: OrderSetting,
    task: Task,
    probes: Sequence[Probe],
    half_width: float,
    at_least_prompts: int,
) -> dict:
    parts = components(probes)
    costs, steps = measure_costs(setting, task)
    orders, sentences = probes[0].predictions.shape
    row = {
        "setting": setting.name,
        "task": task.name,
        "stored": {"prompts": len(probes), "orders": orders, "sentences": sentences},
        "variances": asdict(parts),
        "seconds": asdict(costs),
        "steps": steps,
        "plans": {},
    }
    for name, design in _designs(setting, task, parts).items():
        try:
            plan = cheapest(
                parts,
                costs,
                half_width,
                available=available_orders(setting),
                at_least_prompts=at_least_prompts,
                **design,
            )
            row["plans"][name] = asdict(plan)
        except LabError as error:
            row["plans"][name] = {"out_of_reach": str(error)}
    reached = _times_fewer(parts, costs, orders, sentences, task, setting)
    return row | {"full_over_incomplete": reached}


def _designs(setting: OrderSetting, task: Task, parts: Components) -> dict[str, dict[str, Any]]:
    """What may be planned: name → sentences of a prompt, those that all read or that they draw
    from."""
    test, train = (len(task.split(split)) for split in ("test", "train"))
    designs: dict[str, dict[str, Any]] = {
        "incomplete": {"design": "incomplete", "sentences": test},
        "full": {"design": "full", "sentences": test},
    }
    left = unread_examples(setting, task)
    if left and parts.prompt is not None:  # over several prompts only
        pool = {"sentences": test + left, "pool": test + train}
        designs[BEYOND] = {"design": "incomplete", **pool}
    return designs


def _times_fewer(
    parts: Components,
    costs: Costs,
    orders: int,
    sentences: int,
    task: Task,
    setting: OrderSetting,
) -> float | None:
    """Scorings of the stored matrix over those of an incomplete design of the same half-width."""
    one_prompt = replace(parts, prompt=None)
    try:
        plan = cheapest(
            one_prompt,
            replace(costs, prompt=0.0, order=0.0),
            one_prompt.half_width(1, orders, sentences, orders * sentences),
            sentences=len(task.split("test")),
            available=available_orders(setting),
        )
    except LabError:
        return None
    return (orders + 1) * sentences / plan.scorings


def measure_costs(setting: OrderSetting, task: Task) -> tuple[Costs, int]:
    """Seconds on this machine, and the steps of a training that they count with.

    Where a training ends when validation stops improving, it is taken to last twice as long as
    it must to find that out.
    """
    recipe = setting.recipe
    backbone = shared_backbone(setting.backbone)
    model = PromptedModel.for_task(backbone, task).with_changes(
        bos=setting.bos, positions=setting.positions
    )
    prompt = initialise(recipe.init, backbone, recipe.length, model.verbalizer, 0)
    trial = replace(recipe, steps=TRIAL_STEPS, evaluate_every=None, patience=None, warmup=0)
    trained = fit(model, prompt, task, trial, limit=TRIAL_STEPS * recipe.batch_size)
    steps = recipe.steps
    if recipe.patience is not None:
        steps = min(steps, 2 * recipe.patience * recipe.evaluate_every)
    few, many = (_seconds_to_score(model, prompt, task, count) for count in (FEW, MANY))
    scoring_s = max(many - few, 0.0) / (MANY - FEW) or many / MANY
    vectors = model.fixed_vectors(prompt)
    has_prefix = len(backbone.prefix_of(model.encode(task.take("test", FEW), vectors))) > 0
    order_s = max(0.0, few - FEW * scoring_s) if has_prefix else 0.0
    return Costs(trained.seconds / TRIAL_STEPS * steps, order_s, scoring_s), steps


def _seconds_to_score(model: PromptedModel, prompt, task: Task, count: int) -> float:
    vectors = model.fixed_vectors(prompt)
    sequences = model.encode(task.take("test", count), vectors)
    scorer = scoring.Scorer(model.backbone, sequences, model.labels())
    times = []
    for _ in range(2):  # the first warms up
        started = time.perf_counter()
        scorer(vectors)
        times.append(time.perf_counter() - started)
    return min(times)


# ---- as text ----


def as_markdown(result: Mapping) -> str:
    """For each row: where the variance is, and the cheapest numbers of both designs."""
    lines = [
        f"# Plan for {result['name']}: mean order effect ± {100 * result['half_width']:g} points",
    ]
    for row in result["rows"]:
        stored = "{prompts} × {orders} × {sentences}".format(**row["stored"])
        spreads = {k: v for k, v in row["variances"].items() if v is not None}
        lines += [
            "",
            f"## {row['setting']}, {row['task']} (from prompts × orders × sentences: {stored})",
            "",
            "standard deviation of the effect: "
            + ", ".join(f"{name.replace('_', ' × ')} {v**0.5:.3f}" for name, v in spreads.items()),
        ]
        if row["variances"]["prompt"] is None:
            lines.append(
                "one prompt is stored: how far prompts lie apart is unknown, and not in the "
                "half-width"
            )
        heads = ["design", "prompts", "orders", "sentences", "scorings", "± points", "time here"]
        lines += ["", *table_head(heads)]
        for design, plan in row["plans"].items():
            lines.append(_plan_line(design, plan))
        if BEYOND in row["plans"]:
            lines += [
                "",
                f"{BEYOND}: each prompt reads a draw of its own, from the test split and what "
                "its training left (`labkit run more-sentences`)",
            ]
        if row["full_over_incomplete"] is not None:
            lines += [
                "",
                "the stored matrix's half-width takes "
                f"{row['full_over_incomplete']:.0f} × fewer scorings with the incomplete design",
            ]
        lines.append(
            f"(a training of {row['steps']} steps {row['seconds']['prompt']:.0f} s, a scoring "
            f"{1000 * row['seconds']['scoring']:.1f} ms, an order "
            f"{1000 * row['seconds']['order']:.1f} ms)"
        )
    if result["without_matrix"]:
        lines += ["", f"no stored matrix: {', '.join(result['without_matrix'])}"]
    if result["correlations"]:
        names = ", ".join(result["correlations"])
        lines += ["", f"scored by a correlation, which has no such variances: {names}"]
    return "\n".join(lines) + "\n"


def _plan_line(design: str, plan: Mapping) -> str:
    if "out_of_reach" in plan:
        return cells([design, plan["out_of_reach"], *[""] * 5])
    size = Plan(**plan)
    orders, sentences = str(size.orders), str(size.sentences)
    if design != "full":
        orders += f" of {size.per_order} sentences"
        sentences += f" under {size.per_sentence}"
    minutes = size.seconds / 60
    return cells(
        [
            design,
            size.prompts,
            orders,
            sentences,
            size.prompts * size.scorings,
            f"{100 * size.half_width:.2f}",
            f"{minutes / 60:.2f} h" if minutes >= 60 else f"{minutes:.1f} min",
        ]
    )
