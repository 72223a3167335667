"""A plan about order that is written down, locked, and only then carried out (Lab B).

A plan says in plain values what is claimed, which rows are scored, what that may cost and from
which effect on it counts. Its lock is a digest of all of it, so that a plan that changes afterwards
no longer fits; what a run gives carries the lock, a seal over its own numbers, and the locks of the
plans that were carried out in the same folder before.

Usage::

    lock(plan)                                # "9f2c…", before anything is run
    record = carry_out(plan, "9f2c…")         # scores the rows; refuses a plan that has changed
    verdict(record["effect"][1], record["effect"][2], plan["margin"])

What it is not: proof. Whoever wants to can make a record up; what it shows is what happened to
somebody who did not set out to.
"""

from __future__ import annotations

import functools
import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from labkit.core import statistics
from labkit.core.errors import LabError
from labkit.core.tasks import load_task
from labkit.experiments import PROMPTS
from labkit.experiments.base.digest import digest_of
from labkit.shuffle_probe import NAMED, Probe, Shuffle, probe_order
from labkit.shuffle_probe.orders import Orders
from labkit.soft_prompt import load_prompt

TASK = "rt-polarity"
RUNS = "lab_b_runs.jsonl"
MOST_PASSES = 20_000
"""Forward passes of a plan; what a laptop with two cores does in about 20 minutes."""

LEAST_SENTENCES = 48
LEAST_ORDERS = 5
"""Random orders of a row that stand for all others; from fewer one can't tell how they differ."""

HAN = re.compile("[\u3400-\u9fff]")
KEYS = ("claim", "rows", "orders", "sentences", "seed", "budget", "compare", "margin")
ROW_KEYS = ("prompt", "orders", "unit", "fixed")

Plan = Mapping[str, Any]

EXAMPLE: Plan = {
    "claim": "On the encoder single tokens cost two points more than blocks of five.",
    "rows": {
        "single tokens": {"prompt": "minilm-rt-polarity", "orders": "random"},
        "blocks of five": {"prompt": "minilm-rt-polarity", "orders": "random", "unit": 5},
    },
    "orders": 5,
    "sentences": 48,
    "seed": 0,
    "budget": 600,
    "compare": ["single tokens", "blocks of five"],
    "margin": 0.02,
}
"""What runs where nothing is locked yet: small, and nobody's claim."""


def prompts() -> list[str]:
    """Names of the kept prompts that a row may take: trained on the film reviews."""
    return sorted(path.name for path in PROMPTS.iterdir() if TASK in path.name)


def forward_passes(plan: Plan) -> int:
    """What a plan costs: every sentence in the trained order and in every other one, per row."""
    return sum((len(_orders(plan, row)) + 1) * plan["sentences"] for row in plan["rows"].values())


def problem(plan: object) -> str | None:
    """The first thing that keeps a plan from being carried out; None for a whole one."""
    if not isinstance(plan, Mapping):
        return f"a plan is a dictionary, not {type(plan).__name__}"
    missing = [key for key in KEYS if key not in plan]
    unknown = [key for key in plan if key not in KEYS]
    if missing or unknown:
        which = f"lacks {missing[0]!r}" if missing else f"has {unknown[0]!r}, which is no part"
        return f"the plan {which}: {', '.join(KEYS)}"
    return _wrong_numbers(plan) or _wrong_rows(plan) or _too_few_orders(plan) or _wrong_budget(plan)


def _wrong_numbers(plan: Plan) -> str | None:
    if not isinstance(plan["claim"], str) or _words(plan["claim"]) < 5:
        return "the claim is a sentence that can turn out false, of five words or more"
    for key in ("orders", "sentences", "budget"):
        if not _is_whole(plan[key]) or plan[key] < 1:
            return f"{key!r} is {plan[key]!r}: a whole number, 1 or more"
    if not _is_whole(plan["seed"]) or plan["seed"] < 0:
        return f"'seed' is {plan['seed']!r}: a whole number, 0 or more"
    if not isinstance(plan["margin"], float) or not 0 < plan["margin"] < 1:
        return (
            f"'margin' is {plan['margin']!r}: the smallest effect that would count, as a share of "
            "accuracy between 0 and 1"
        )
    if plan["sentences"] < LEAST_SENTENCES:
        return (
            f"{plan['sentences']} sentences, where one of them moves an accuracy by "
            f"{1 / plan['sentences']:.3f}: take {LEAST_SENTENCES} or more"
        )
    if plan["sentences"] > _test_sentences():
        return (
            f"{plan['sentences']:,} sentences, and the test split of {TASK} has "
            f"{_test_sentences():,}: take as many or fewer"
        )
    return None


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _words(text: str) -> int:
    """Words of a text; Chinese, which has no blanks between them, counts two characters as one."""
    others = [x for x in HAN.sub(" ", text).split() if any(map(str.isalnum, x))]
    return len(others) + len(HAN.findall(text)) // 2


def _wrong_rows(plan: Plan) -> str | None:
    rows, compared = plan["rows"], plan["compare"]
    if not isinstance(rows, Mapping) or len(rows) < 2:
        return "'rows' is a dictionary of two rows or more: a claim needs something to hold against"
    for name, row in rows.items():
        wrong = _wrong_row(row)
        if wrong is not None:
            return f"row {name!r}: {wrong}"
    if not isinstance(compared, list | tuple) or len(compared) != 2 or len(set(compared)) != 2:
        return "'compare' names two different rows"
    for name in compared:
        if name not in rows:
            return f"'compare' names {name!r}, which is no row: {', '.join(map(repr, rows))}"
    first, second = (rows[name] for name in compared)
    same = [(row["prompt"], row["orders"], _shuffle(row)) for row in (first, second)]
    return "the two rows that are compared are the same" if same[0] == same[1] else None


def _wrong_row(row: object) -> str | None:
    if not isinstance(row, Mapping) or "prompt" not in row or "orders" not in row:
        return "a dictionary with 'prompt' and 'orders'"
    unknown = [key for key in row if key not in ROW_KEYS]
    if unknown:
        return f"{unknown[0]!r} is no part of a row: {', '.join(ROW_KEYS)}"
    if row["prompt"] not in prompts():
        return f"the prompt {row['prompt']!r} is none of {', '.join(prompts())}"
    if row["orders"] != "random" and row["orders"] not in NAMED:
        return f"the orders {row['orders']!r} are none of random, {', '.join(NAMED)}"
    if row["orders"] != "random" and ("unit" in row or "fixed" in row):
        return "'unit' and 'fixed' belong to random orders"
    return _wrong_shuffle(row)


def _wrong_shuffle(row: Mapping) -> str | None:
    unit, fixed = row.get("unit", 1), row.get("fixed", (0, 0))
    if not _is_whole(unit):
        return f"'unit' is {unit!r}: how many virtual tokens stay together, a whole number"
    if not isinstance(fixed, list | tuple) or len(fixed) != 2 or not all(map(_is_whole, fixed)):
        return f"'fixed' is {fixed!r}: [first, last], two whole numbers; all between them stay too"
    try:
        _shuffle(row).blocks(_length(row["prompt"]))
    except LabError as error:
        return str(error)
    return None


def _too_few_orders(plan: Plan) -> str | None:
    for name, row in plan["rows"].items():
        if _is_drawn(plan, row) and plan["orders"] < LEAST_ORDERS:
            return (
                f"'orders' is {plan['orders']}, and row {name!r} draws that many at random: take "
                f"{LEAST_ORDERS} or more, fewer do not show how far orders lie apart"
            )
    return None


def _wrong_budget(plan: Plan) -> str | None:
    cost = forward_passes(plan)
    if plan["budget"] > MOST_PASSES:
        return f"a budget of {plan['budget']:,} forward passes: {MOST_PASSES:,} at most"
    if cost > plan["budget"]:
        return (
            f"the rows cost {cost:,} forward passes and the budget is {plan['budget']:,}: take "
            "fewer orders or sentences"
        )
    return None


@functools.cache
def _test_sentences() -> int:
    return len(load_task(TASK).split("test"))


@functools.cache
def _length(prompt: str) -> int:
    """Virtual tokens of a kept prompt."""
    return len(load_prompt(PROMPTS / prompt)[0])


def _shuffle(row: Mapping) -> Shuffle:
    fixed = row.get("fixed")
    return Shuffle(row.get("unit", 1), None if fixed is None else (fixed[0], fixed[1]))


def _orders(plan: Plan, row: Mapping) -> Orders:
    length = _length(row["prompt"])
    if row["orders"] != "random":
        return NAMED[row["orders"]](length)
    return _shuffle(row).draw(length, plan["orders"], plan["seed"])


def _is_drawn(plan: Plan, row: Mapping) -> bool:
    """Whether a row's orders stand for others; False where they are all that there are."""
    if row["orders"] != "random":
        return False
    return plan["orders"] < _shuffle(row).available(_length(row["prompt"]))


# ---- locking ----


def lock(plan: Plan) -> str:
    """16 hexadecimal digits that change with anything in the plan.

    Raises:
        LabError: for a plan that can't be carried out.
    """
    wrong = problem(plan)
    if wrong is not None:
        raise LabError(wrong)
    return digest_of(dict(plan))


def seal(record: Mapping) -> str:
    """A digest of what a run has given."""
    return digest_of({key: value for key, value in record.items() if key != "seal"})


def is_sealed(record: Mapping) -> bool:
    """Whether a record's numbers are those that the run gave."""
    return record.get("seal") == seal(record)


def verdict(low: float, high: float, margin: float) -> str:
    """What the interval of an effect says about "it is larger than the margin".

    ``supported`` where all of it lies above the margin, ``refuted`` where all of it lies below,
    and ``undecided`` where the margin is within it.
    """
    if low > margin:
        return "supported"
    return "refuted" if high < margin else "undecided"


# ---- carrying out ----


class Effect(NamedTuple):
    """What the first row's orders cost more than the second's, with its 95 % interval."""

    value: float
    low: float
    high: float


def effect(first: Probe, second: Probe, drawn: tuple[bool, bool] = (True, True)) -> Effect:
    """Cost of the first probe's orders minus that of the second's, on the same sentences.

    A cost is the accuracy in the trained order minus the mean over the other orders. The interval
    is for other sentences, the same for both, and for other orders where they were drawn: Student's
    t of R − 1 degrees of freedom for a probe's R orders, because few of them say little of others.

    Args:
        drawn: of each probe, whether its orders stand for others; False where it holds all.

    Raises:
        LabError: for a single order that stands for others.
    """
    losses = [(p.trained == p.targets).astype(float) - p.correct for p in (first, second)]
    if any(draws and len(loss) < 2 for loss, draws in zip(losses, drawn, strict=True)):
        raise LabError("one order, drawn at random: nothing shows how far others lie apart")
    by_sentence = losses[0].mean(axis=0) - losses[1].mean(axis=0)  # (N,)
    squared = statistics.Z**2 * by_sentence.var(ddof=1) / len(by_sentence)
    for loss, draws in zip(losses, drawn, strict=True):  # (R, N)
        if draws:
            between = loss.mean(axis=1).var(ddof=1) / len(loss)
            squared += statistics.student(len(loss)) ** 2 * between
    value, half = float(by_sentence.mean()), float(np.sqrt(squared))
    return Effect(value, value - half, value + half)


def carry_out(plan: Plan, locked: str, folder: str | Path = ".") -> dict:
    """Score the rows of a locked plan; what comes out, sealed.

    Args:
        locked: what :func:`lock` gave for it.
        folder: keeps the list of plans that were carried out.

    Raises:
        LabError: for a plan that changed after it was locked, or can't be carried out.
    """
    now = lock(plan)
    if locked != now:
        raise LabError(
            f"the plan's lock is {now}, and it was locked as {locked}: it was changed afterwards. "
            "Lock it again before you run it, and say so in the report"
        )
    log, start = Path(folder) / RUNS, time.monotonic()
    earlier = _carried_out(log)
    probes = {name: _probe(plan, row) for name, row in plan["rows"].items()}
    first, second = (probes[name] for name in plan["compare"])
    drawn = tuple(_is_drawn(plan, plan["rows"][name]) for name in plan["compare"])
    record = {
        "plan": now,
        "earlier": [other for other in earlier if other != now],
        "passes": forward_passes(plan),
        "rows": {name: _numbers(probe) for name, probe in probes.items()},
        "effect": [round(value, 4) for value in effect(first, second, drawn)],
        "seconds": round(time.monotonic() - start),
    }
    record["seal"] = seal(record)
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"plan": now}) + "\n")
    return record


def _carried_out(log: Path) -> list[str]:
    """Locks of the plans that were carried out in a folder, each once, in order."""
    if not log.exists():
        return []
    plans = []
    for number, line in enumerate(log.read_text("utf-8").splitlines(), start=1):
        try:
            plans.append(json.loads(line)["plan"])
        except (ValueError, KeyError, TypeError) as error:
            raise LabError(f"{log}, line {number}, can't be read: delete this line") from error
    return list(dict.fromkeys(plans))


def _probe(plan: Plan, row: Mapping) -> Probe:
    prompt, card = load_prompt(PROMPTS / row["prompt"])
    if card is None:
        raise LabError(f"the prompt {row['prompt']!r} says nothing about its model")
    model = card.model(card.load_backbone())
    orders = _orders(plan, row)
    return probe_order(model, prompt, load_task(TASK), orders, limit=plan["sentences"])


def _numbers(probe: Probe) -> dict[str, float]:
    scores = probe.scores
    numbers = {
        "trained": probe.baseline,
        "mean": float(scores.mean()),
        "worst": float(scores.min()),
        "best": float(scores.max()),
    }
    return {name: round(value, 4) for name, value in numbers.items()} | {"orders": len(scores)}
