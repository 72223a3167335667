"""Pruning a prompt, and a shorter one trained from the start beside it.

A row is one way to come to fewer virtual tokens: by what a token is missed (left out, the others'
mean in its place, gradient × value), greedily, at random for comparison, or by training a prompt
of that length. What to drop is chosen on validation sentences, and scored on test. A prompt that
did not learn loses nothing with its virtual tokens, and is left whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from labkit.core.prompted_model import Evaluation, PromptedModel, evaluate
from labkit.core.tasks import Task
from labkit.experiments.base.models import shared_backbone
from labkit.experiments.base.report import cells, report_head, table_head, verdict_section
from labkit.experiments.base.requirements import at_least, classes
from labkit.experiments.base.rows import answer_changes, as_digits, learned, scores_of
from labkit.experiments.base.setting import TASK_OF, Experiment, Place
from labkit.experiments.base.verdicts import over_prompts, signed
from labkit.experiments.order import at_gate, trained_prompt
from labkit.experiments.order_worth import GATE, WorthSetting, ordinary_setting
from labkit.soft_prompt import SoftPrompt
from labkit.soft_prompt.pruning import WAYS, greedy, keep, missed

COUNTS = (15, 10, 5, 2, 1)
"""Virtual tokens kept; of those that are fewer than the prompt has."""

CHOSEN_ON, SENTENCES = 48, 200
"""Validation sentences that say which to keep, and test sentences."""

GREEDY, RANDOM, TRAINED = "greedy", "at random", "trained at that length"


@dataclass(frozen=True)
class PruningSetting(WorthSetting):
    """``way``: how to come to fewer virtual tokens."""

    way: str = GREEDY


def pruning_row(setting: PruningSetting, task: Task, seed: int, place: Place) -> dict:
    """The prompt of this seed in fewer and fewer virtual tokens; ``value`` is that of all of them.

    ``kept`` has for each number of them which ones, the test score and the right answers.
    """
    model = PromptedModel.for_task(shared_backbone(setting.backbone), task)
    limit = place.limit or SENTENCES
    prompt = trained_prompt(setting, model, task, seed, place)
    rows = model.fixed_vectors(prompt)
    counts = [count for count in COUNTS if count < len(rows)]
    whole = evaluate(model, prompt, task, "test", limit=limit)
    row = {
        "task": task.name,
        "method": "pruning",
        **asdict(setting.recipe),
        **model.backbone.where(),
        **at_gate(model, prompt, task, GATE),
        **scores_of(whole),
    }
    if not row["learns"]:
        return row

    def scored(vectors: Tensor, which: Sequence[int] | None) -> dict:
        result: Evaluation = evaluate(model, SoftPrompt(vectors), task, "test", limit=limit)
        digits = as_digits(result.correct)
        return {"rows": which, "value": result.value, "correct": digits}

    kept = {}
    if setting.way == TRAINED:
        for count in counts:
            shorter = replace(setting, recipe=replace(setting.recipe, length=count))
            prompt = trained_prompt(shorter, model, task, seed, place)
            kept[str(count)] = scored(model.fixed_vectors(prompt), None)
    else:
        chosen_on = model.view_of(task)
        examples = chosen_on.take("validation", CHOSEN_ON, seed=0)
        for count, which in _chosen(setting, model, prompt, task, examples, counts, seed, place):
            kept[str(count)] = scored(rows[which], which)
    return row | {"kept": kept}


def _chosen(
    setting: PruningSetting,
    model: PromptedModel,
    prompt: SoftPrompt,
    task: Task,
    examples,
    counts: Sequence[int],
    seed: int,
    place: Place,
) -> list[tuple[int, list[int]]]:
    """For each number of virtual tokens, which ones stay."""
    if setting.way == RANDOM:
        order = np.random.default_rng(seed).permutation(len(prompt)).tolist()
    elif setting.way == GREEDY:
        order = greedy(
            model,
            prompt,
            task,
            examples,
            lambda done, total: place.tell(done, total, f"prompt {done} of {total}"),
        )
    else:
        costs = missed(model, prompt, task, examples, setting.way)
        return [(count, keep(costs, count)) for count in counts]
    return [(count, sorted(order[-count:])) for count in counts]


def pool(rows: Sequence[Mapping], out: Path) -> list[dict]:
    """For each way and number of virtual tokens: what is lost against all of them.

    Prompts that learned only.
    """
    rows, pooled = learned(rows), []
    for way in dict.fromkeys(row["setting"] for row in rows):
        of_way = [row for row in rows if row["setting"] == way]
        if len(of_way) < 2:
            continue
        for count in of_way[0]["kept"]:
            lost = answer_changes((row["kept"][count]["correct"], row["correct"]) for row in of_way)
            claim = f"{way}, {count} kept: the score falls"
            line = over_prompts(claim, lost, upwards=False)
            pooled.append({"setting": way, "kept": int(count), **line})
    return pooled


def as_markdown(result: Mapping) -> str:
    """A line a row, a column for each number kept, and what is lost over all prompts."""
    counts = list(dict.fromkeys(c for row in learned(result["rows"]) for c in row["kept"]))
    lines = report_head(result, ("way", "seed", "n", "all", *(f"{c} kept" for c in counts)))
    for row in result["rows"]:
        kept = row.get("kept", {})
        whole = f"{row['value']:.3f}" + ("" if kept else " (does not learn)")
        values = [f"{kept[c]['value']:.3f}" if c in kept else "–" for c in counts]
        head = [row["setting"], row["seed"], row["n"], whole]
        lines.append(cells([*head, *values]))
    pooled = result.get("pooled", ())
    heads = ["way", "kept", "change against all [95 %]"]
    lines += ["", *table_head(heads)]
    lines += [cells([r["setting"], r["kept"], signed(r["mean_difference"])]) for r in pooled]
    return "\n".join([*lines, *verdict_section(pooled)]) + "\n"


def _settings(backbone: str | None, profile: str) -> list[PruningSetting]:
    ordinary = ordinary_setting(backbone, profile)
    return [
        PruningSetting(way, ordinary.backbone, ordinary.recipe, profile=profile, way=way)
        for way in (*WAYS, GREEDY, RANDOM, TRAINED)
    ]


EXPERIMENTS = (
    Experiment(
        "pruning",
        "fewer virtual tokens, dropped or never trained, ours",
        _settings,
        pruning_row,
        report=as_markdown,
        tasks=TASK_OF,
        pool=pool,
        needs=(classes, at_least(2)),
    ),
)
