"""What order is worth: the same training with an order, under random ones, and without any.

An ordinary prompt loses much of its score in another order. Whether it *needs* its order is another
question, which takes prompts that were trained to do without, on the same examples for the same
number of steps:

- ``order-proof``: every step under a new random order (`labkit.core.tuning.fit`). What it scores
  in random orders less than the ordinary prompt in its own is what an order would have been worth.
- ``set``: read by a model that can't tell orders apart (`labkit.core.sets`), from training on. Its
  gap to the ordinary prompt is what order, and virtual tokens that see each other, are worth there.

All are read on the same test sentences, in their own order and each sentence in a few others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from labkit.core.loading import readout_of
from labkit.core.prompted_model import Evaluation, PromptedModel
from labkit.core.scoring import losses_of
from labkit.core.sets import SET
from labkit.core.tasks import Task
from labkit.core.tuning import RANDOM, TRAINED
from labkit.experiments.base.models import shared_backbone
from labkit.experiments.base.recipe import LESTER, RECIPES
from labkit.experiments.base.report import cells, report_head, table_head, verdict_section
from labkit.experiments.base.requirements import at_least, classes
from labkit.experiments.base.rows import from_digits, learned
from labkit.experiments.base.setting import TASK_OF, Experiment, Place
from labkit.experiments.base.verdicts import each_signed, over_prompts, signed
from labkit.experiments.order import OrderSetting, scored_behind_gate, trained_prompt
from labkit.experiments.order_effect import ALL_FREE, effects_in_orders, effects_of
from labkit.shuffle_probe import Shuffle

ORDINARY, ORDER_PROOF, AS_SET = "ordinary", "order-proof", "set"
LONGER = "order-proof, three times the steps"
"""Another answer to "at equal cost": as long as it takes to come to the ordinary prompt's loss."""

WITHOUT = "random order − ordinary's own"
"""What order is worth: a prompt that was trained to do without has no order of its own, the one
that its rows happen to stand in is a draw like any other."""

STEPS, BATCH = 120, 8
SENTENCES, GATE = 500, 200
"""Test sentences, and validation sentences on which a prompt has to beat the majority class."""


@dataclass(frozen=True)
class WorthSetting(OrderSetting):
    """A way to train: ``orders`` as in `labkit.core.tuning.fit`, ``positions`` as in the model."""

    orders: str = TRAINED


def worth_row(setting: WorthSetting, task: Task, seed: int, place: Place) -> dict:
    """Train in this way, score in the prompt's own order and in random ones."""
    model = PromptedModel.for_task(shared_backbone(setting.backbone), task)
    model = model.with_changes(positions=setting.positions)
    prompt = trained_prompt(setting, model, task, seed, place, setting.orders)
    limit = place.limit or SENTENCES
    plain, scores = scored_behind_gate(model, prompt, task, limit, gate_limit=GATE)
    row = {
        "task": task.name,
        "method": "order worth",
        **asdict(setting.recipe),
        "orders": setting.orders,
        "positions": setting.positions,
        "loss": _cross_entropy(plain),
        **scores,
    }
    shuffles = {ALL_FREE: Shuffle()}
    row["effects"] = effects_in_orders(shuffles, model, prompt, task, seed, plain.n, place)
    row["in_random_orders"] = row["value"] + float(effects_of([row], ALL_FREE).mean())
    return row


def _cross_entropy(result: Evaluation) -> float:
    """Mean over the sentences of −log p(right class), in nats."""
    scores, targets = torch.from_numpy(result.scores), torch.from_numpy(result.targets)
    return float(losses_of(scores, targets).mean())


# ---- what rows say together ----


def pool(rows: Sequence[Mapping], out: Path) -> list[dict]:
    """The cost of another order for each way to train, then each way against the ordinary one.

    Prompts that learned only; where ways are compared, those of the same seeds.
    """
    passed = {(row["setting"], row["seed"]): row for row in learned(rows)}
    ways = list(dict.fromkeys(setting for setting, _ in passed))
    pooled = []
    for way in ways:
        of_way = [row for (setting, _), row in passed.items() if setting == way]
        pooled += _line(way, "random order − own", effects_of(of_way, ALL_FREE), upwards=False)
    for way in ways:
        seeds = [seed for setting, seed in passed if setting == way and (ORDINARY, seed) in passed]
        if way == ORDINARY or not seeds:
            continue
        pairs = [(passed[way, seed], passed[ORDINARY, seed]) for seed in seeds]
        in_own = np.array([_own(one) - _own(other) for one, other in pairs])
        shuffled = np.array([_shuffled(one) - _shuffled(other) for one, other in pairs])
        unordered = np.array([_shuffled(one) - _own(other) for one, other in pairs])
        against = f"{way} − {ORDINARY}"
        pooled += _line(against, "own order", in_own, upwards=False)
        pooled += _line(against, "random order", shuffled, upwards=True)
        pooled += _line(against, WITHOUT, unordered, upwards=False)
    return pooled


def _own(row: Mapping) -> NDArray[np.float64]:
    return from_digits(row["correct"]).astype(float)


def _shuffled(row: Mapping) -> NDArray[np.float64]:
    """Share of a sentence's random orders that are right: (N,)."""
    return _own(row) + effects_of([row], ALL_FREE)[0]


def _line(name: str, what: str, effects: NDArray[np.float64], upwards: bool) -> list[dict]:
    """One difference (P, N) over prompts; none where there is one prompt only."""
    if len(effects) < 2:
        return []
    claim = f"{name}, {what}: {'above' if upwards else 'below'} zero"
    return [{"setting": name, "what": what, **over_prompts(claim, effects, upwards)}]


def as_markdown(result: Mapping) -> str:
    """The prompts, what they score in both ways, and the differences over all of them."""
    heads = ("prompt", "seed", "n", "learns", "loss", "own order [95 %]", "random orders")
    lines = report_head(result, heads)
    for row in result["rows"]:
        interval = "{:.3f} [{:.3f}, {:.3f}]".format(row["value"], *row["ci95"])
        says, loss = "yes" if row["learns"] else "no", f"{row['loss']:.3f}"
        shuffled = f"{row['in_random_orders']:.3f}"
        lines.append(cells([row["setting"], row["seed"], row["n"], says, loss, interval, shuffled]))
    heads = ["what is compared", "where", "prompts", "difference [95 %]", "by prompt"]
    pooled = result.get("pooled", ())
    lines += ["", *table_head(heads)]
    for row in pooled:
        change, effects = signed(row["mean_difference"]), each_signed(row["by_prompt"])
        lines.append(cells([row["setting"], row["what"], row["prompts"], change, effects]))
    return "\n".join([*lines, *verdict_section(pooled)]) + "\n"


def ordinary_setting(backbone: str | None, profile: str) -> WorthSetting:
    """Prompts as they are usually trained; other experiments take them from where they are kept."""
    name = backbone or "smollm2"
    recipe = LESTER
    if profile != "full":
        recipe = replace(RECIPES[readout_of(name)], steps=STEPS, batch_size=BATCH)
    return WorthSetting(ORDINARY, name, recipe, profile=profile)


def _settings(backbone: str | None, profile: str) -> list[WorthSetting]:
    ordinary = ordinary_setting(backbone, profile)
    name, recipe = ordinary.backbone, ordinary.recipe
    longer = replace(recipe, steps=3 * recipe.steps)
    return [
        ordinary,
        WorthSetting(ORDER_PROOF, name, recipe, profile=profile, orders=RANDOM),
        WorthSetting(AS_SET, name, recipe, profile=profile, positions=SET),
        WorthSetting(LONGER, name, longer, profile=profile, orders=RANDOM),
    ]


EXPERIMENTS = (
    Experiment(
        "order-worth",
        "prompts trained to do without an order beside ordinary ones, ours",
        _settings,
        worth_row,
        report=as_markdown,
        tasks=TASK_OF,
        pool=pool,
        needs=(classes, at_least(2)),
    ),
)
