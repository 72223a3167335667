"""Dose and response: what it costs to carry the virtual tokens so far and no further.

Uniform random orders all lie about equally far from the trained one, so they can't say whether a
longer way costs more. Here the distance is dosed (Mallows orders, `labkit.shuffle_probe.designs`),
each order read on a few sentences and held against the trained order on the same ones.

The same orders then serve a search without gradients: what each token adds at each place is read
off half of them, the order of the lowest sum is found by assignment, and both are held against what
was not used: the prediction against the other half, the order against the trained one on test.

Of a prompt that did not learn no other order is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import spearmanr

from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.statistics import Difference, mean_with_interval
from labkit.core.tasks import Task
from labkit.experiments.base.models import shared_backbone
from labkit.experiments.base.report import cells, report_head, table_head, verdict_section
from labkit.experiments.base.requirements import at_least, classes
from labkit.experiments.base.rows import answer_changes, as_digits, learned, scores_of
from labkit.experiments.base.setting import TASK_OF, Experiment, Place
from labkit.experiments.base.verdicts import signed, verdict
from labkit.experiments.order import OrderSetting, at_gate, trained_prompt
from labkit.experiments.order_worth import GATE, ordinary_setting
from labkit.shuffle_probe import (
    Design,
    Orders,
    TokenPlaceEffects,
    discordant_share,
    mallows,
    pooled_effect,
)
from labkit.shuffle_probe.incomplete import design_losses
from labkit.soft_prompt import SoftPrompt

DOSES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5)
"""Expected shares of the pairs that stand the other way round; 0.5 is a uniform random order."""

ORDERS, SENTENCES, POOL = 40, 8, 240
"""Orders of each dose, sentences of each order, and validation sentences that these are from."""

TEST_SENTENCES = 500
RIDGE = 4.0
FITTED, OTHERS = slice(None, None, 2), slice(1, None, 2)
"""Every second order is for the fit of the effects, so that both halves hold all doses."""

NAMES = {dose: f"{100 * dose:g} % of the pairs" for dose in DOSES}


def dose_row(setting: OrderSetting, task: Task, seed: int, place: Place) -> dict:
    """One prompt: the cost of each dosed order, the effects read off half of them, and the order
    that follows from these on test."""
    model = PromptedModel.for_task(shared_backbone(setting.backbone), task)
    prompt = trained_prompt(setting, model, task, seed, place)
    trained = evaluate(model, prompt, task, "test", limit=place.limit or TEST_SENTENCES)
    row = {
        "task": task.name,
        "method": "dose",
        **asdict(setting.recipe),
        **model.backbone.where(),
        **at_gate(model, prompt, task, GATE),
        **scores_of(trained),
    }
    return row | _dosed(model, prompt, task, seed, place, trained.n) if row["learns"] else row


def _dosed(
    model: PromptedModel, prompt: SoftPrompt, task: Task, seed: int, place: Place, limit: int
) -> dict:
    """What a row says of the dosed orders, and of the one that follows from them."""
    vectors = model.fixed_vectors(prompt)
    length = len(vectors)
    orders = np.concatenate(
        [mallows(length, dose, ORDERS, seed=10 * seed + k) for k, dose in enumerate(DOSES)]
    )
    pool = len(model.view_of(task).split("validation"))
    design = _each_on_a_few(orders, min(POOL, pool), seed)
    losses, plain, flipped = design_losses(
        model,
        prompt,
        task,
        design,
        progress=lambda done, total: place.tell(done, total, f"scoring {done} of {total}"),
    )
    costs = (losses - plain).reshape(len(orders), SENTENCES).mean(1)
    flips = flipped.reshape(len(orders), SENTENCES).mean(1)
    effects = TokenPlaceEffects.fit(orders[FITTED], costs[FITTED], ridge=RIDGE)
    best = effects.lowest()
    assigned = evaluate(model, SoftPrompt(vectors[list(best)]), task, "test", limit=limit)
    return {
        "orders": orders.tolist(),
        "distance": discordant_share(orders).round(4).tolist(),
        "cost": costs.round(5).tolist(),
        "flips": flips.round(4).tolist(),
        "sentences": SENTENCES,
        "held_out": _rank_correlation(effects.predict(orders[OTHERS]), costs[OTHERS]),
        "assigned": {
            "order": list(best),
            "distance": float(discordant_share(np.array([best]))[0]),
            "value": assigned.value,
            "correct": as_digits(assigned.correct),
        },
    }


def _rank_correlation(one: ArrayLike, other: ArrayLike) -> float:
    """Spearman's; 0 where one of both is the same everywhere, and foretells nothing."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(one, other).statistic)


def _each_on_a_few(orders: Orders, count: int, seed: int) -> Design:
    """Every order on its own draw of ``count`` sentences, which others share with it."""
    random = np.random.default_rng(seed)
    sentences = [random.choice(count, SENTENCES, replace=False) for _ in orders]
    rows = np.repeat(np.arange(len(orders)), SENTENCES)
    return Design(orders, rows, np.concatenate(sentences), count)


# ---- what rows say together ----


def pool(rows: Sequence[Mapping], out: Path) -> list[dict]:
    """For each dose the mean cost over prompts; how cost goes with distance; the order found.

    Prompts that learned only.
    """
    rows = learned(rows)
    if len(rows) < 2:
        return []
    costs = np.array([row["cost"] for row in rows]).reshape(len(rows), len(DOSES), ORDERS)
    flips = np.array([row["flips"] for row in rows]).reshape(costs.shape)
    distances = np.array([row["distance"] for row in rows]).reshape(costs.shape)
    pooled = []
    for index, dose in enumerate(DOSES):
        pooled.append(
            _line(NAMES[dose], len(rows), mean_with_interval(costs[:, index].mean(1)))
            | {
                "distance": float(distances[:, index].mean()),
                "flip_rate": list(mean_with_interval(flips[:, index].mean(1))),
            }
        )
    correlations = {
        "cost goes with distance": [_rank_correlation(r["distance"], r["cost"]) for r in rows],
        "effects foretell other orders": [row["held_out"] for row in rows],
        "distance alone foretells the same": [
            _rank_correlation(row["distance"][OTHERS], row["cost"][OTHERS]) for row in rows
        ],
        "effects foretell orders of one dose": [_foretold_within_doses(row) for row in rows],
    }
    for what, values in correlations.items():
        line = _line(f"{what} (Spearman)", len(rows), mean_with_interval(values))
        pooled.append(line)
    gains = answer_changes((row["assigned"]["correct"], row["correct"]) for row in rows)
    pooled.append(
        _line("order by assignment − trained order, test", len(rows), pooled_effect(gains))
    )
    return pooled


def _foretold_within_doses(row: Mapping) -> float:
    """Rank correlation of foretold and measured cost among the other orders of each dose, mean."""
    orders, costs = np.array(row["orders"]), np.array(row["cost"])
    effects = TokenPlaceEffects.fit(orders[FITTED], costs[FITTED], ridge=RIDGE)
    predicted = effects.predict(orders[OTHERS]).reshape(len(DOSES), -1)  # (doses, R / 2 / doses)
    measured = costs[OTHERS].reshape(predicted.shape)
    return float(np.mean(list(map(_rank_correlation, predicted, measured))))


def _line(what: str, prompts: int, value: Difference) -> dict:
    judged = verdict(f"{what}: above zero, over {prompts} prompts", value)
    return {"what": what, "prompts": prompts, "mean": list(value), "verdict": judged}


def as_markdown(result: Mapping) -> str:
    """The prompts, cost by dose, and what follows."""
    heads = ("prompt", "n", "trained order", "order by assignment", "its distance")
    lines = report_head(result, heads)
    for row in result["rows"]:
        if "assigned" not in row:
            value = f"{row['value']:.3f}"
            lines.append(cells([row["seed"], row["n"], value, "does not learn: not shuffled", ""]))
            continue
        assigned = row["assigned"]
        scores = [f"{row['value']:.3f}", f"{assigned['value']:.3f}", f"{assigned['distance']:.2f}"]
        lines.append(cells([row["seed"], row["n"], *scores]))
    pooled = result.get("pooled", ())
    lines += ["", *table_head(["what", "mean [95 %]", "predictions flipped"])]
    for row in pooled:
        flipped = f"{row['flip_rate'][0]:.3f}" if "flip_rate" in row else "–"
        lines.append(cells([row["what"], signed(row["mean"]), flipped]))
    return "\n".join([*lines, *verdict_section(pooled)]) + "\n"


EXPERIMENTS = (
    Experiment(
        "order-dose",
        "the cost of an order against its distance, and the best order by assignment, ours",
        lambda backbone, profile: [ordinary_setting(backbone, profile)],
        dose_row,
        report=as_markdown,
        tasks=TASK_OF,
        pool=pool,
        needs=(classes, at_least(2), at_least(SENTENCES, "validation")),
    ),
)
