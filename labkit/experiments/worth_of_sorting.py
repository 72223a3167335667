"""What sorting is worth to a prompt that leans on its order, and to one that does not.

Every search starts from the trained order, which stays a candidate, and spends the same number of
forward passes: on an ordinary prompt, and on one that was trained under random orders. Where order
hardly matters, there is nothing to be found. Orders are chosen by their loss on training sentences,
random ones by that on a development set and without labels too; the gain is that on test. A prompt
that did not learn has no order worth searching, and is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.tasks import Task
from labkit.core.tuning import RANDOM
from labkit.experiments.base.models import shared_backbone
from labkit.experiments.base.report import cells, report_head, table_head, verdict_section
from labkit.experiments.base.requirements import at_least, classes
from labkit.experiments.base.rows import (
    answer_changes,
    as_digits,
    learned,
    paired_answers,
    scores_of,
)
from labkit.experiments.base.setting import TASK_OF, Experiment, Place
from labkit.experiments.base.verdicts import over_prompts, signed
from labkit.experiments.order import at_gate, trained_prompt
from labkit.experiments.order_worth import (
    GATE,
    ORDER_PROOF,
    ORDINARY,
    SENTENCES,
    WorthSetting,
    ordinary_setting,
)
from labkit.lstm_sorter import BUDGET, search

METHODS = ("swap", "random", "lstm", "plackett-luce", "assignment", "softsort", "neuralsort")
CHOSEN_BY = {"development set": "validation", "without labels": "entropy"}
"""What random orders are chosen by besides their loss on training sentences."""

PLAIN = "random"
"""What every other search is held against."""

BUDGETS = {"small": 4_800, "full": BUDGET}
"""Forward passes of a search: 50 evaluations of 96 sentences in the small profile."""


@dataclass(frozen=True)
class SortedSetting(WorthSetting):
    """``way`` is how the prompt was trained, ``method`` how its order is searched, ``choose_by``
    what orders are compared by, as in :func:`labkit.lstm_sorter.search`; None: training loss."""

    way: str = ORDINARY
    method: str = "swap"
    budget: int = BUDGETS["small"]
    choose_by: str | None = None


def sorted_row(setting: SortedSetting, task: Task, seed: int, place: Place) -> dict:
    """Search from the trained order; ``value`` is the score of the order found.

    A prompt that does not pass the gate is not searched: ``value`` is that of its own order.
    """
    model = PromptedModel.for_task(shared_backbone(setting.backbone), task)
    prompt = trained_prompt(setting, model, task, seed, place, setting.orders)
    limit = place.limit or SENTENCES
    row = {
        "task": task.name,
        "way": setting.way,
        "method": setting.method,
        "choose_by": setting.choose_by or "train",
        **asdict(setting.recipe),
        **model.backbone.where(),
        **at_gate(model, prompt, task, GATE),
        "budget": setting.budget,
    }
    if not row["learns"]:
        return row | scores_of(evaluate(model, prompt, task, limit=limit))
    result = search(
        model,
        prompt,
        task,
        setting.method,
        budget=setting.budget,
        seed=seed,
        choose_by=setting.choose_by or "train",
        keep_given=True,
        limit=limit,
        on_progress=lambda spent, budget: place.tell(spent, budget, f"{spent:,} forward passes"),
    )
    return {
        **row,
        "forward_passes": result.forward_passes,
        "order": list(result.order),
        "loss_before": result.best.loss_before,
        "loss": result.best.loss,
        "before": {"value": result.before.value, "correct": as_digits(result.before.correct)},
        "seconds": round(result.seconds, 1),
        **scores_of(result.after),
    }


def pool(rows: Sequence[Mapping], out: Path) -> list[dict]:
    """For each way to train and each search: what it gains over the trained order, on test; then,
    with ``over``, what it gains more than the best of as many random orders.

    Prompts that learned only, two or more of a search, or of both where two are compared. ``kept``
    counts those for which the given order was handed back. A search that found no other for any of
    them gains nothing on these prompts, and says nothing of others: it is not held against another
    search.
    """
    rows = learned(rows)
    of_line: dict[str, list[Mapping]] = {}
    for row in rows:
        of_line.setdefault(row["setting"], []).append(row)
    gains = [_gain(same) for same in of_line.values() if len(same) > 1]
    found = {line["setting"] for line in gains if line["kept"] < line["prompts"]}
    against = [
        _more(rows, line["way"], line["method"])
        for line in gains
        if line["method"] != PLAIN and {line["setting"], f"{line['way']}, {PLAIN}"} <= found
    ]
    return [*gains, *(line for line in against if line is not None)]


def _gain(rows: Sequence[Mapping]) -> dict:
    """What one search gains over the trained order of all its prompts."""
    name, way = rows[0]["setting"], rows[0]["way"]
    gains = answer_changes((row["correct"], row["before"]["correct"]) for row in rows)
    claim = f"{name}: the order found scores above the trained one"
    kept = sum(row["order"] == list(range(len(row["order"]))) for row in rows)
    of = {"way": way, "method": name.removeprefix(f"{way}, "), "kept": kept}
    return {"setting": name, **of, **over_prompts(claim, gains)}


def _more(rows: Sequence[Mapping], way: str, search: str) -> dict | None:
    """What one search ends above :data:`PLAIN`, over the prompts that both have; None where those
    are fewer than two."""
    pairs = paired_answers(rows, f"{way}, {search}", f"{way}, {PLAIN}")
    if pairs is None or len(pairs[0]) < 2:
        return None
    name = f"{way}, {search} − {PLAIN}"
    of = {"way": way, "method": search, "over": PLAIN}
    return {"setting": name, **of, **over_prompts(name, np.subtract(*pairs, dtype=float))}


def as_markdown(result: Mapping) -> str:
    """A line a search, and its gain over all prompts that learned."""
    heads = ("prompt, search", "seed", "n", "trained order", "order found", "loss before", "after")
    lines = report_head(result, heads)
    for row in result["rows"]:
        if not row["learns"]:
            shown = [f"{row['value']:.3f}", "does not learn: not searched", "", ""]
            lines.append(cells([row["setting"], row["seed"], row["n"], *shown]))
            continue
        scores = [f"{row['before']['value']:.3f}", f"{row['value']:.3f}"]
        losses = [f"{row['loss_before']:.3f}", f"{row['loss']:.3f}"]
        lines.append(cells([row["setting"], row["seed"], row["n"], *scores, *losses]))
    pooled = result.get("pooled", ())
    heads = ("prompt, search", "prompts", "given order handed back", "gain on test [95 %]")
    lines += ["", *table_head(heads)]
    for row in pooled:
        gain = signed(row["mean_difference"])
        lines.append(cells([row["setting"], row["prompts"], row.get("kept", ""), gain]))
    return "\n".join([*lines, *verdict_section(pooled)]) + "\n"


def _settings(backbone: str | None, profile: str) -> list[SortedSetting]:
    ordinary = ordinary_setting(backbone, profile)
    ways = {ORDINARY: ordinary.orders, ORDER_PROOF: RANDOM}
    searches = {method: (method, None) for method in METHODS}
    searches |= {f"{PLAIN}, {name}": (PLAIN, choice) for name, choice in CHOSEN_BY.items()}
    return [
        SortedSetting(
            f"{way}, {name}",
            ordinary.backbone,
            ordinary.recipe,
            profile=profile,
            orders=orders,
            way=way,
            method=method,
            budget=BUDGETS[profile],
            choose_by=choose_by,
        )
        for name, (method, choose_by) in searches.items()
        for way, orders in ways.items()
    ]


EXPERIMENTS = (
    Experiment(
        "worth-of-sorting",
        "searches on ordinary and on order-proof prompts, ours",
        _settings,
        sorted_row,
        report=as_markdown,
        tasks=TASK_OF,
        pool=pool,
        needs=(classes, at_least(2)),
    ),
)
