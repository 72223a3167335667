"""Tables 7 and 8: the data, and the comparison of methods over GLUE.

A row of table 8 is one method on one task with one seed. The prompt is trained once and shared by
all methods that sort it. Its learning rate is searched, as the paper's is (section 4.1): for each
model and task the rate is taken whose prompt of one seed scores best on validation. The order of a
prompt that does not get past the gate of `labkit.experiments.order` is not searched: its row is the
prompt's own score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from labkit.audit.tables import printed, row
from labkit.core.backbones import Backbone
from labkit.core.errors import LabError
from labkit.core.loading import load_backbone, readout_of
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.statistics import (
    Difference,
    accuracy_interval,
    mean_interval,
    paired_difference,
    pearson,
    pearson_interval,
)
from labkit.core.tasks import GLUE, SPLITS, TRAINED_ON, Task
from labkit.core.tuning import NotFiniteError, fit
from labkit.experiments import order
from labkit.experiments.base.digest import digest_of
from labkit.experiments.base.kept import checkpoint_beside, kept_result
from labkit.experiments.base.models import shared_backbone
from labkit.experiments.base.recipe import FINE_TUNING, Recipe, recipe_for
from labkit.experiments.base.report import cells, report_head, table_head
from labkit.experiments.base.result_file import file_name
from labkit.experiments.base.rows import as_digits, from_digits, has_learned, scores_of
from labkit.experiments.base.setting import Experiment, Place, Setting
from labkit.glue import (
    CONTROLS,
    COSINE,
    HARD,
    METHODS,
    PRINTED,
    SORTING,
    best_threshold,
    budget_of,
    cosine_of_pairs,
    mean_over_tasks,
    sort_prompt,
)

TEST_EXAMPLES = {"small": 1000, "full": 1_000_000}
FINE_TUNING_STEPS = {"small": 250, "full": 2000}
THRESHOLD_EXAMPLES = 2000
"""Training pairs from which the cosine's threshold is chosen."""

RATES = (1, 0.3, 3)
"""Learning rates to choose from, in units of the recipe's own."""

SEARCH_SEED = 0
"""The seed whose prompts decide between the rates."""

PAIRS = ("rte", "mrpc", "stsb", "qnli", "qqp")
"""Tasks of two texts that one number can answer; mnli has three classes."""


@dataclass(frozen=True)
class GlueSetting(order.OrderSetting):
    """A method on a task; ``rates``: learning rates to choose from, None for the recipe's own."""

    method: str = "prompt"
    rates: tuple[float, ...] | None = None

    @property
    def seeded(self) -> bool:
        """What reads no trained prompt and no trained weights is scored as it is."""
        return self.method not in CONTROLS


def glue_row(setting: GlueSetting, task: Task, seed: int, place: Place) -> dict:
    """One method on one task."""
    limit = place.limit or TEST_EXAMPLES[setting.profile]
    row = {
        "task": task.name,
        "method": setting.method,
        "seen": task.name in TRAINED_ON.get(setting.backbone, ()),
        **asdict(setting.recipe),
    }
    if setting.method == "fine-tuning":
        return row | _fine_tuned(setting, task, seed, limit, place)
    backbone = shared_backbone(setting.backbone)
    row |= backbone.where()
    if setting.method == COSINE:
        return row | _cosine(backbone, task, limit)
    if setting.method == HARD:
        model = PromptedModel.for_task(backbone, task, soft=False)
        return row | scores_of(evaluate(model, None, task, "test", limit=limit))
    model = PromptedModel.for_task(backbone, task)
    if setting.rates:
        tried = {rate: _tried(setting, rate, model, task, place) for rate in setting.rates}
        best = _best(tried)
        setting = replace(setting, recipe=replace(setting.recipe, lr=best))
        row |= {"lr": best, "rates_tried": [list(each) for each in tried.items()]}
    prompt = order.trained_prompt(setting, model, task, seed, place)
    row |= order.at_gate(model, prompt, task)
    if setting.method in SORTING and row["learns"]:
        budget = budget_of(task, order.TRAINING_EXAMPLES[setting.profile])
        ordered = sort_prompt(model, prompt, task, setting.method, budget=budget, seed=seed)
        prompt = ordered.prompt
        row |= {
            "order": list(ordered.order),
            "is_permutation": ordered.is_permutation,
            "forward_passes": ordered.forward_passes,
        }
    return row | scores_of(evaluate(model, prompt, task, "test", limit=limit))


def _tried(
    setting: GlueSetting, rate: float, model: PromptedModel, task: Task, place: Place
) -> float | None:
    """What the prompt trained at a learning rate scores on validation, None where its loss did not
    stay finite; found once for all methods and seeds."""
    setting = replace(setting, recipe=replace(setting.recipe, lr=rate))

    def tried() -> dict:
        try:
            prompt = order.trained_prompt(setting, model, task, SEARCH_SEED, place)
        except NotFiniteError:
            return {"validation": None}
        return {"validation": order.at_gate(model, prompt, task)["validation"]}

    limits = order.training_examples(setting, task), order.GATE_EXAMPLES
    made_of = digest_of([asdict(setting.recipe), limits, place.origin])
    file = place.folder / f"{file_name(task.name)}-rate-{rate:g}-{made_of[:8]}.json"
    return kept_result(file, place, tried)["validation"]


def _best(tried: Mapping[float, float | None]) -> float:
    """The rate with the highest score; of equal ones the first."""

    def score(rate: float) -> float:
        value = tried[rate]
        return -math.inf if value is None else value

    return max(tried, key=score)


def _fine_tuned(setting: GlueSetting, task: Task, seed: int, limit: int, place: Place) -> dict:
    backbone = load_backbone(setting.backbone, trainable=True)
    model = PromptedModel.for_task(backbone, task, soft=False)
    recipe = replace(FINE_TUNING, steps=FINE_TUNING_STEPS[setting.profile], evaluate_every=50)
    with checkpoint_beside(place.of_row(setting, seed)) as checkpoint:
        fit(
            model,
            None,
            task,
            recipe,
            seed=seed,
            limit=order.training_examples(setting, task),
            checkpoint=checkpoint,
            resume=True,
            on_step=place.on_step(recipe.steps),
        )
    scores = scores_of(evaluate(model, None, task, "test", limit=limit))
    return {**asdict(recipe), **backbone.where(), **scores}


def _cosine(backbone: Backbone, task: Task, limit: int) -> dict:
    """The cosine itself for a regression; for two classes cut at a threshold from train."""
    examples = task.take("test", limit)
    cosines = cosine_of_pairs(backbone, examples)
    labels = np.array([example.label for example in examples])
    if task.kind == "regression":
        ends = pearson_interval(cosines, labels)
        score = {"metric": "pearson", "value": pearson(cosines, labels), "ci95": list(ends)}
        return score | {"n": len(labels), "majority": None}
    known = task.take("train", THRESHOLD_EXAMPLES)
    threshold, upper = best_threshold(
        cosine_of_pairs(backbone, known), np.array([example.label for example in known])
    )
    right = np.where(cosines > threshold, upper, 1 - upper) == labels
    return {
        "metric": "accuracy",
        "value": float(right.mean()),
        "ci95": list(accuracy_interval(right)),
        "n": len(labels),
        "majority": float(np.bincount(labels).max() / len(labels)),
        "correct": as_digits(right),
        "threshold": threshold,
    }


# ---- table 8 ----


def _methods(backbone: str | None, profile: str) -> list[GlueSetting]:
    name = _one_model(backbone) or _DEFAULT[profile]
    recipe = recipe_for(name, profile, 100 if profile == "full" else 20)
    rates = tuple(float(f"{recipe.lr * factor:g}") for factor in RATES)
    return [
        GlueSetting(
            f"{task}, {method}",
            name,
            recipe,
            task=task,
            profile=profile,
            method=method,
            rates=None if method == "fine-tuning" else rates,
        )
        for task in GLUE
        for method in METHODS
    ]


def _one_model(backbone: str | None) -> str | None:
    """The model that is asked for: what rows say together goes by task, method and seed alone."""
    if backbone is not None and "," in backbone:
        raise LabError(
            f"--backbone {backbone}: a table over GLUE is about one model; run each by itself"
        )
    return backbone


def _controls(backbone: str | None, profile: str) -> list[GlueSetting]:
    name = _one_model(backbone) or "minilm"
    pooled = readout_of(name) == "encoder"
    return [
        GlueSetting(f"{task}, {method}", name, Recipe(), task=task, profile=profile, method=method)
        for task in GLUE
        for method in CONTROLS
        if method == HARD or (pooled and task in PAIRS)
    ]


_DEFAULT = {"small": "minilm", "full": "google-t5/t5-base"}


def methods_as_markdown(result: Mapping) -> str:
    """Methods × tasks with their mean over tasks, the paper's rows below."""
    tasks = _tasks(result)
    lines = report_head(result, ["method", *tasks, "mean [95 % over seeds]"])
    for method in (*CONTROLS, *METHODS):
        values = by_task(result, method)
        if values:
            lines.append(cells([method, *(_mean_of(values.get(t)) for t in tasks), _mean(values)]))
    lines += ["", *_notes(result), "", "The paper's rows, per cent, T5-base:", ""]
    lines += table_head(["method", *tasks, "mean as printed"])
    for name, method in PRINTED.items():
        its = row(printed(8), name)
        lines.append(cells([method, *(its.get(task, "–") for task in tasks), its["mean"]]))
    return "\n".join(lines) + "\n"


def _tasks(result: Mapping) -> list[str]:
    """The tasks of a result in the paper's order, those that it doesn't have in front."""
    present = {row["task"] for row in result["rows"]}
    return [*sorted(present.difference(GLUE)), *(task for task in GLUE if task in present)]


def by_task(result: Mapping, method: str) -> dict[str, dict[int, float]]:
    """Test scores of a method: task → seed → score; seeds that it did not sort are missing."""
    values: dict[str, dict[int, float]] = {}
    for scored in as_named(result["rows"]):
        if scored["method"] == method:
            values.setdefault(scored["task"], {})[scored["seed"]] = scored["value"]
    return values


def gains(result: Mapping, method: str, against: str = "prompt") -> dict[str, Difference]:
    """What a method adds to another one: task → paired difference with its interval.

    Over examples and seeds for accuracy; over seeds alone for a correlation, which is no mean over
    examples (NaN ends with a single seed). Seeds as in :func:`compared_seeds`.
    """
    rows = {(row["task"], row["method"], row["seed"]): row for row in result["rows"]}
    return {
        task: _difference([(rows[task, method, s], rows[task, against, s]) for s in seeds])
        for task, seeds in compared_seeds(result, method, against).items()
    }


def as_named(rows: Sequence[Mapping]) -> list[Mapping]:
    """Rows that hold a score of the method they name: all prompts and trained backbones, but of the
    ways of sorting only those whose prompt passed the gate. The others' score is the prompt's own.
    """
    return [row for row in rows if row["method"] not in SORTING or has_learned(row)]


def compared_seeds(result: Mapping, method: str, against: str = "prompt") -> dict[str, list[int]]:
    """The seeds that say something about a method: task → those that both methods have.

    A prompt that failed the gate was not sorted: its row is missing here, not a gain of zero.
    """
    rows = {(row["task"], row["method"], row["seed"]) for row in as_named(result["rows"])}
    compared = {}
    for task in _tasks(result):
        seeds = sorted(
            seed
            for t, m, seed in rows
            if (t, m) == (task, method) and (task, against, seed) in rows
        )
        if seeds:
            compared[task] = seeds
    return compared


def tasks_in_full(result: Mapping, method: str) -> list[str]:
    """The tasks on which a method sorted the prompt of every seed that the table has."""
    seeds = {row["seed"] for row in result["rows"] if row["method"] == "prompt"}
    compared = compared_seeds(result, method)
    return [task for task, its in compared.items() if set(its) == seeds]


def mean_gain(result: Mapping, method: str) -> Difference:
    """A method's gain over the unsorted prompt, each seed's mean over the same tasks, those of
    :func:`tasks_in_full`: over seeds. A seed's mean over other tasks would be another quantity.

    Ends are NaN with a single seed.

    Raises:
        LabError: where no task had every seed sorted.
    """
    tasks = tasks_in_full(result, method)
    if not tasks:
        raise LabError(f"no task has every seed's prompt sorted by {method!r}: no mean over tasks")
    plain, changed = by_task(result, "prompt"), by_task(result, method)
    gains = {t: {s: changed[t][s] - value for s, value in plain[t].items()} for t in tasks}
    mean, ends = mean_over_tasks(gains, tasks)
    return Difference(mean, *(ends or (math.nan, math.nan)))


def _difference(pairs: Sequence[tuple[Mapping, Mapping]]) -> Difference:
    if all("correct" in row for pair in pairs for row in pair):
        a, b = ([from_digits(row["correct"]) for row in rows] for rows in zip(*pairs, strict=True))
        return paired_difference(a, b)
    return _over_seeds([a["value"] - b["value"] for a, b in pairs])


def _over_seeds(values: Sequence[float]) -> Difference:
    ends = mean_interval(values) if len(values) > 1 else (math.nan, math.nan)
    return Difference(sum(values) / len(values), *ends)


def printed_gains(method: str) -> dict[str, float]:
    """The same from the paper's table 8, as shares: task → difference of the printed scores."""
    names = {ours: theirs for theirs, ours in PRINTED.items()}
    a, b = (row(printed(8), names[name]) for name in (method, "prompt"))
    return {task: (a[task] - b[task]) / 100 for task in GLUE}


def _mean_of(values: Mapping[int, float] | None) -> str:
    return "–" if not values else f"{sum(values.values()) / len(values):.3f}"


def _mean(values: Mapping[str, Mapping[int, float]]) -> str:
    if set(values) != set(GLUE) or len({frozenset(seeds) for seeds in values.values()}) != 1:
        return "–"  # a mean over other tasks or seeds is another quantity
    mean, interval = mean_over_tasks(values)
    return f"{mean:.3f}" + ("" if interval is None else " [{:.3f}, {:.3f}]".format(*interval))


def _notes(result: Mapping) -> list[str]:
    stuck = sorted({r["task"] for r in result["rows"] if not has_learned(r)})
    seen = sorted({r["task"] for r in result["rows"] if r["seen"]})
    rates = {r["task"]: f"{r['lr']:g}" for r in result["rows"] if r.get("rates_tried")}
    notes = []
    if rates:
        named = ", ".join(f"{task} {rates[task]}" for task in _tasks(result) if task in rates)
        notes.append(f"Learning rate of the prompt, chosen on validation with one seed: {named}.")
    if stuck:
        named = ", ".join(stuck)
        notes.append(f"The prompt of some seed does not learn and is not sorted: {named}.")
    if seen:
        notes.append(f"In the backbone's own training data: {', '.join(seen)}.")
    return notes


# ---- table 7 ----


@dataclass(frozen=True)
class DataSetting(Setting):
    """A task whose examples are counted."""

    @property
    def seeded(self) -> bool:
        """Counts are counts."""
        return False


def data_row(setting: DataSetting, task: Task, seed: int, place: Place) -> dict:
    """How many examples a task has here, beside what the paper prints (in thousands)."""
    counts = {split: len(task.split(split)) for split in SPLITS}
    its = row(printed(7), task.name)
    return {
        "task": task.name,
        "method": "data",
        "value": float(sum(counts.values())),
        "n": counts["test"],
        **counts,
        "paper": {split: its[split] for split in (*SPLITS, "total")},
    }


def _data(backbone: str | None, profile: str) -> list[DataSetting]:
    return [DataSetting(task, backbone or "data", Recipe(), task=task) for task in GLUE]


def data_as_markdown(result: Mapping) -> str:
    """Counts here, and the paper's in thousands."""
    head = ["task", *SPLITS, *(f"paper: {split} (k)" for split in (*SPLITS, "total"))]
    lines = report_head(result, head)
    for counts in result["rows"]:
        ours = [counts[split] for split in SPLITS]
        lines.append(cells([counts["task"], *ours, *counts["paper"].values()]))
    return "\n".join(lines) + "\n"


EXPERIMENTS = (
    Experiment(
        "table7", "how many examples each task has", _data, data_row, report=data_as_markdown
    ),
    Experiment(
        "table8",
        "four methods over GLUE",
        _methods,
        glue_row,
        report=methods_as_markdown,
        counted=as_named,  # a method's level is that of all its prompts
    ),
    Experiment(
        "glue-controls",
        "what GLUE's tasks give without a trained prompt",
        _controls,
        glue_row,
        report=methods_as_markdown,
    ),
)
