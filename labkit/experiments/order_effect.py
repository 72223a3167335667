"""The mean order effect over several prompts, for the kinds of shuffling of Tables 1–3.

`labkit.experiments.order_tables` scores one prompt on a full matrix of orders and sentences, which
counts and flips need. What decides a claim about *prompts* is the mean over independently trained
ones: here each of them is read on the whole test split, every sentence under a few orders of its
own (`labkit.shuffle_probe.incomplete`), for all kinds of shuffling at once.

Source: Liu, Cheng and Liu 2024, section 2 (tables 1–3), with as many prompts as seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labkit.core.prompted_model import PromptedModel
from labkit.core.tasks import Task
from labkit.experiments.base.models import shared_backbone, short
from labkit.experiments.base.recipe import recipe_for
from labkit.experiments.base.report import cells, report_head, table_head, verdict_section
from labkit.experiments.base.requirements import at_least, classes
from labkit.experiments.base.rows import answer_changes, from_digits, learned
from labkit.experiments.base.setting import TASK_OF, Experiment, Place
from labkit.experiments.base.verdicts import each_signed, over_prompts, signed
from labkit.experiments.order import (
    OrderSetting,
    read_without_positions,
    scored_behind_gate,
    trained_prompt,
)
from labkit.experiments.order_tables import MODELS
from labkit.shuffle_probe import Design, Shuffle, incomplete_design, probe_incomplete
from labkit.soft_prompt import SoftPrompt

ALL_FREE = "all tokens move"
PER_SENTENCE = {ALL_FREE: 2}
"""Orders of each sentence, for the kind of shuffling that most claims are about; others: 1."""


def kinds(length: int) -> dict[str, Shuffle]:
    """The kinds of shuffling, by what they are called."""
    half = length // 2
    return {
        ALL_FREE: Shuffle(),
        "first token kept": Shuffle(fixed=(0, 0)),
        f"first {half} kept": Shuffle(fixed=(0, half - 1)),
        f"last {half} kept": Shuffle(fixed=(half, length - 1)),
        f"blocks of {length // 4}": Shuffle(length // 4),
    }


def effect_row(setting: OrderSetting, task: Task, seed: int, place: Place) -> dict:
    """Train the prompt (or take it where it is kept), pass the gate, score it in few orders each.

    ``effects`` has, for each kind of shuffling, ``right``: how many of a sentence's orders gave the
    right answer, one digit a sentence. The setting's own orders are not used.
    """
    model = PromptedModel.for_task(shared_backbone(setting.backbone), task)
    prompt = trained_prompt(setting, model, task, seed, place)
    limit = place.limit or len(model.view_of(task).split("test"))
    plain, scores = scored_behind_gate(model, prompt, task, limit)
    row = {
        "task": task.name,
        "method": "order effect",
        **asdict(setting.recipe),
        **scores,
    }
    if not row["learns"]:
        return row
    row |= read_without_positions(model, prompt, task, plain, limit)
    shuffles = kinds(setting.recipe.length)
    row["effects"] = effects_in_orders(shuffles, model, prompt, task, seed, plain.n, place)
    return row


def effects_in_orders(
    shuffles: Mapping[str, Shuffle],
    model: PromptedModel,
    prompt: SoftPrompt,
    task: Task,
    seed: int,
    sentences: int,
    place: Place,
) -> dict[str, dict]:
    """All kinds of shuffling in one design; what each of them says of the test sentences."""
    designs = {
        name: incomplete_design(
            shuffle,
            len(prompt),
            sentences,
            per_sentence=PER_SENTENCE.get(name, 1),
            seed=seed,
        )
        for name, shuffle in shuffles.items()
    }
    probe = probe_incomplete(
        model,
        prompt,
        task,
        _together(list(designs.values())),
        progress=lambda done, total: place.tell(total + done, 2 * total, f"scoring {done}"),
    )
    effects, begin = {}, 0
    for name, design in designs.items():
        count = len(design.order)
        right = probe.right[begin : begin + count]
        begin += count
        effects[name] = {
            "permutations": len(design.orders),
            "per_sentence": count // sentences,
            "right": _per_sentence(design, right),
        }
    return effects


def _together(designs: Sequence[Design]) -> Design:
    """Designs over the same sentences as one, their orders one after the other."""
    begins = np.cumsum([0, *(len(design.orders) for design in designs)])
    return Design(
        np.concatenate([design.orders for design in designs]),
        np.concatenate([d.order + begin for d, begin in zip(designs, begins, strict=False)]),
        np.concatenate([design.sentence for design in designs]),
        designs[0].sentences,
    )


def _per_sentence(design: Design, right: NDArray[np.bool_]) -> str:
    counts = np.bincount(design.sentence, weights=right, minlength=design.sentences)
    return "".join(str(int(count)) for count in counts)


# ---- what rows say together ----


def effects_of(rows: Sequence[Mapping], kind: str) -> NDArray[np.float64]:
    """Per prompt and sentence: share of orders that are right, minus the trained order: (P, N)."""
    return np.array(
        [
            np.array([int(digit) for digit in row["effects"][kind]["right"]])
            / row["effects"][kind]["per_sentence"]
            - from_digits(row["correct"])
            for row in rows
        ]
    )


def pool(rows: Sequence[Mapping], out: Path) -> list[dict]:
    """For each model and kind of shuffling: the mean effect over its prompts that learned."""
    pooled = []
    for setting in dict.fromkeys(row["setting"] for row in rows):
        passed = learned([row for row in rows if row["setting"] == setting])
        if len(passed) < 2 or len({row["n"] for row in passed}) > 1:
            continue
        bare = _without_positions(passed)
        every = {kind: effects_of(passed, kind) for kind in passed[0]["effects"]}
        if bare is not None:
            every["positions taken away"] = bare
        for kind, effects in every.items():
            pooled.append(
                {
                    "setting": setting,
                    "kind": kind,
                    "baseline": float(np.mean([row["value"] for row in passed])),
                    **over_prompts(f"{kind}: the score falls", effects, upwards=False),
                }
            )
    return pooled


def _without_positions(rows: Sequence[Mapping]) -> NDArray[np.float64] | None:
    if not all("no_positions" in row for row in rows):
        return None
    return answer_changes((row["no_positions"]["correct"], row["correct"]) for row in rows)


def as_markdown(result: Mapping) -> str:
    """The prompts, the mean effect of each kind of shuffling over them, and the verdicts."""
    lines = report_head(result, ("model", "seed", "n", "validation", "test [95 %]", "learns"))
    for row in result["rows"]:
        test = "{:.3f} [{:.3f}, {:.3f}]".format(row["value"], *row["ci95"])
        says = "yes" if row["learns"] else "no: not probed"
        validation = f"{row['validation']:.3f}"
        lines.append(cells([row["setting"], row["seed"], row["n"], validation, test, says]))
    heads = ["model", "what is done", "prompts", "trained order", "change [95 %]", "by prompt"]
    pooled = result.get("pooled", ())
    lines += ["", *table_head(heads)]
    for row in pooled:
        change, effects = signed(row["mean_difference"]), each_signed(row["by_prompt"])
        trained = f"{row['baseline']:.3f}"
        lines.append(cells([row["setting"], row["kind"], row["prompts"], trained, change, effects]))
    lines += verdict_section(pooled, lambda row: f"{row['setting']}, ")
    return "\n".join(lines) + "\n"


def settings(backbone: str | None, profile: str) -> list[OrderSetting]:
    """A prompt of each model, of the length that Tables 1–3 have."""
    small = ["minilm", "minilm-mlm", "t5-titles", "smollm2"]
    named = None if backbone is None else backbone.split(",")
    names = named or (list(MODELS)[:4] if profile == "full" else small)
    length = 100 if profile == "full" else 20
    return [
        OrderSetting(short(name), name, recipe_for(name, profile, length), profile=profile)
        for name in names
    ]


EXPERIMENTS = (
    Experiment(
        "order-effect",
        "the mean order effect over prompts, for each kind of shuffling",
        settings,
        effect_row,
        report=as_markdown,
        tasks=TASK_OF,
        pool=pool,
        needs=(classes, at_least(2)),
    ),
)
