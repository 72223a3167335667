"""The mean order effect, from more sentences than the test split has.

Where the prompts of a model agree on which sentences an order costs them, more prompts narrow the
interval no further: the sentences of the test split alone leave it as wide as it is. But a prompt
is trained on a sample, and what the training split has besides is new to it, too. Here each prompt
is read on a draw of its own from both, every sentence in the trained order and in one random order.
The means on either part stand beside the whole: if the sentences were not of one kind, it would
show there.

It is an experiment of the small profile: in the full one prompts are trained on all that there is.

Source: Liu, Cheng and Liu 2024, section 2 (table 1), with as many prompts as seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.statistics import accuracy_interval
from labkit.core.tasks import Example, Task, without_overlap
from labkit.experiments.base.models import shared_backbone
from labkit.experiments.base.report import cells, report_head, table_head, verdict_section
from labkit.experiments.base.requirements import classes
from labkit.experiments.base.rows import as_digits, from_digits, learned, scores_of
from labkit.experiments.base.setting import TASK_OF, Experiment, Place, Setting
from labkit.experiments.base.verdicts import signed, verdict
from labkit.experiments.order import (
    OrderSetting,
    at_gate,
    trained_prompt,
    training_examples,
    unread_examples,
)
from labkit.experiments.order_effect import settings
from labkit.shuffle_probe import Shuffle, incomplete_design, probe_incomplete, scattered_effect
from labkit.shuffle_probe.incomplete import PER_ORDER

SENTENCES = 1500
"""That each prompt is read on."""

ALL, OF_TEST, OF_TRAIN = "all sentences", "test split", "rest of the training split"


def unseen_row(setting: OrderSetting, task: Task, seed: int, place: Place) -> dict:
    """Train the prompt (or take it where it is kept), pass the gate, score it on its own draw.

    ``sentences`` are the places of the n sentences in the test split and the training split behind
    it, ``test`` is how many the test split has; ``correct`` and ``shuffled`` say of each whether
    the trained order and a random one gave the right answer.
    """
    model = PromptedModel.for_task(shared_backbone(setting.backbone), task)
    prompt = trained_prompt(setting, model, task, seed, place)
    task = model.view_of(task)
    row = {
        "task": task.name,
        "method": "more sentences",
        **asdict(setting.recipe),
        **model.backbone.where(),
        **at_gate(model, prompt, task),
    }
    unseen = unseen_places(setting, task, seed)
    count = min(place.limit or SENTENCES, len(unseen))
    drawn = _only(task, np.random.default_rng(seed).permutation(unseen)[:count])
    if not row["learns"]:
        return row | scores_of(evaluate(model, prompt, drawn, "test"))
    design = incomplete_design(Shuffle(), len(prompt), count, per_sentence=1, seed=seed)
    probe = probe_incomplete(
        model,
        prompt,
        drawn,
        design,
        progress=lambda done, total: place.tell(total + done, 2 * total, f"scoring {done}"),
    )
    shuffled = np.empty(count, dtype=bool)
    shuffled[design.sentence] = probe.right  # one order a sentence
    place_of = {id(example): place for place, example in enumerate(_everything(task))}
    return row | {
        "metric": "accuracy",
        "value": probe.baseline,
        "ci95": list(accuracy_interval(probe.trained_right)),
        "n": count,
        "majority": drawn.majority(),
        "correct": as_digits(probe.trained_right),
        "shuffled": as_digits(shuffled),
        "sentences": [place_of[id(example)] for example in drawn.take("test", count)],
        "test": len(task.split("test")),
    }


def unseen_places(setting: OrderSetting, task: Task, seed: int) -> NDArray[np.int64]:
    """Places, in the test split and the training split behind it, of what a prompt was not trained
    on: none of its texts stands in a trained one or holds one, as phrases of SST-2 do."""
    limit = training_examples(setting, task)
    trained = task.split("train") if limit is None else task.take("train", limit, seed=seed)
    new = {id(example) for example in without_overlap(_everything(task), trained)}
    return np.array([place for place, each in enumerate(_everything(task)) if id(each) in new])


def leaves_some(setting: Setting, task: Task, limit: int | None) -> None:
    """Training examples that no prompt of the profile is trained on.

    Raises:
        LabError: where a prompt is trained on all there are: in the full profile, and on a task of
            few.
    """
    if not isinstance(setting, OrderSetting) or unread_examples(setting, task):
        return
    remedy = "run order-effect"
    if training_examples(setting, task) is None:
        remedy += ", or this table with --profile small"
    raise LabError(
        f"prompts of {task.name} are trained on all of its training examples here, and no "
        f"sentences are left beyond the test split; {remedy}"
    )


def fills_two_orders(setting: Setting, task: Task, limit: int | None) -> None:
    """More sentences than one order is read on: the mean over one says nothing of others.

    Raises:
        LabError: for a limit, or for splits, of fewer.
    """
    if limit is not None and limit <= PER_ORDER:
        raise LabError(f"--limit {limit}: these rows need {PER_ORDER + 1} examples or more")
    there = len(task.split("test"))
    if isinstance(setting, OrderSetting):
        there += unread_examples(setting, task)
    if there <= PER_ORDER:
        raise LabError(
            f"{task.name} has {there} examples that no prompt is trained on, and these rows need "
            f"{PER_ORDER + 1} or more; choose another task with --task"
        )


def _everything(task: Task) -> tuple[Example, ...]:
    return (*task.split("test"), *task.split("train"))


def _only(task: Task, places: NDArray[np.int64]) -> Task:
    """The task with the examples at these places for its test split."""
    examples = _everything(task)
    return task.with_splits(test=[examples[place] for place in places])


# ---- what rows say together ----


def pool(rows: Sequence[Mapping], out: Path) -> list[dict]:
    """For each model the mean effect over its prompts that learned: on all sentences, and on those
    of either split."""
    pooled = []
    for setting in dict.fromkeys(row["setting"] for row in rows):
        passed = learned([row for row in rows if row["setting"] == setting])
        if len(passed) < 2:
            continue
        effects, right, prompt, sentence = scorings_of(passed)
        in_test = sentence < passed[0]["test"]
        parts = {ALL: np.full(len(effects), True), OF_TEST: in_test, OF_TRAIN: ~in_test}
        for part, chosen in parts.items():
            if len(np.unique(sentence[chosen])) < 2 or len(np.unique(prompt[chosen])) < 2:
                continue  # says nothing of other prompts and sentences
            effect = scattered_effect(effects[chosen], prompt[chosen], sentence[chosen])
            own = [effects[chosen & (prompt == one)] for one in np.unique(prompt[chosen])]
            pooled.append(
                {
                    "setting": setting,
                    "part": part,
                    "prompts": len(passed),
                    "sentences": len(np.unique(sentence[chosen])),
                    "scorings": int(chosen.sum()),
                    "baseline": float(right[chosen].mean()),
                    "mean_difference": list(effect),
                    "by_prompt": [float(changes.mean()) for changes in own],
                    "verdict": verdict(
                        f"{part}: the score falls, over {len(passed)} prompts",
                        effect,
                        upwards=False,
                    ),
                }
            )
    return pooled


def scorings_of(
    rows: Sequence[Mapping],
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """Of every sentence that a prompt was read on: what the random order changed (−1, 0 or 1),
    whether the trained order was right, the prompt and the sentence: (K,) each."""
    right = np.concatenate([from_digits(row["correct"]) for row in rows])
    shuffled = np.concatenate([from_digits(row["shuffled"]) for row in rows])
    prompt = np.repeat(np.arange(len(rows)), [row["n"] for row in rows])
    sentence = np.concatenate([row["sentences"] for row in rows])
    return shuffled.astype(float) - right, right, prompt, sentence


def as_markdown(result: Mapping) -> str:
    """The prompts, the mean effect over them on each part of the sentences, and the verdicts."""
    lines = report_head(result, ("model", "seed", "n", "validation", "trained order [95 %]"))
    for row in result["rows"]:
        trained = "{:.3f} [{:.3f}, {:.3f}]".format(row["value"], *row["ci95"])
        validation = f"{row['validation']:.3f}" + ("" if row["learns"] else " (does not learn)")
        lines.append(cells([row["setting"], row["seed"], row["n"], validation, trained]))
    heads = ["model", "sentences of", "prompts", "sentences", "trained order", "change [95 %]"]
    pooled = result.get("pooled", ())
    lines += ["", *table_head(heads)]
    for row in pooled:
        counts, trained = (row["prompts"], row["sentences"]), f"{row['baseline']:.3f}"
        change = signed(row["mean_difference"])
        lines.append(cells([row["setting"], row["part"], *counts, trained, change]))
    lines += verdict_section(pooled, lambda row: f"{row['setting']}, ")
    return "\n".join(lines) + "\n"


EXPERIMENTS = (
    Experiment(
        "more-sentences",
        "the mean order effect, on sentences beyond the test split too, ours",
        settings,
        unseen_row,
        report=as_markdown,
        tasks=TASK_OF,
        pool=pool,
        needs=(classes, leaves_some, fills_two_orders),
    ),
)
