"""How many prompts, orders and sentences it takes to know the mean order effect well enough.

From the variances of a stored probe or a pilot (`components`) follows the half-width that any
numbers of prompts, orders and sentences would reach, and from the time of one training, one order
and one scoring what they cost. The cheapest that are good enough are the plan.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from labkit.core.errors import LabError
from labkit.shuffle_probe.effect import Components

PROMPTS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 30, 40, 50, 75, 100)
SENTENCES = (64, 128, 256, 384, 512, 768, 1024, 1536, 2048, 4096)
ORDERS = (5, 10, 20, 50, 100, 200, 500)
PER_SENTENCE = (1, 2, 3, 4, 6, 8, 12)
PER_ORDER = (1, 2, 4, 8, 16, 32)
"""Numbers that are tried; of sentences also all that there are."""

OF_ITS_OWN = (1,), (8,)
"""Orders of a sentence and sentences of an order that are tried where each prompt reads its own."""

OF_ORDERS = 0.1
"""Share of the variance that may come from which orders were drawn, where a full design has one
prompt: the interval of its row leaves that part out (`Probe.mean_difference`), and covers 93.7 %
where it is a tenth."""


@dataclass(frozen=True)
class Costs:
    """Seconds of training a prompt, of reading a prompt in a new order, and of one scoring."""

    prompt: float
    order: float
    scoring: float


@dataclass(frozen=True)
class Plan:
    """Numbers that reach a half-width, and what they cost.

    Attributes:
        design: ``full`` (every order on every sentence) or ``incomplete``.
        orders, sentences, scorings: of each prompt; scorings include those in the trained order.
        per_sentence: orders of a sentence; per_order: sentences of an order.
        half_width: of the mean effect's 95 % interval, as a share, in the design's own analysis.
    """

    design: str
    prompts: int
    orders: int
    sentences: int
    per_sentence: int
    per_order: int
    scorings: int
    half_width: float
    seconds: float


def cheapest(
    parts: Components,
    costs: Costs,
    half_width: float,
    *,
    sentences: int,
    available: int,
    design: str = "incomplete",
    at_least_prompts: int = 1,
    pool: int | None = None,
) -> Plan:
    """The plan of the fewest seconds that reaches the half-width.

    Args:
        sentences: that there are for a prompt; available: its orders besides the trained one.
        pool: sentences of which each prompt reads its own draw; None: all read the same.

    Raises:
        LabError: where no numbers that were tried are enough; says how near they come. Where there
            are fewer orders than any number that is tried, or too few for the interval of one
            prompt in a full design (:data:`OF_ORDERS`).
    """
    plans = _plans(parts, costs, sentences, available, design, at_least_prompts, pool)
    if not plans:
        raise LabError(
            f"a {design} design is planned with more orders than {available}, all that there are "
            "besides the trained one; leave more virtual tokens free"
        )
    plans = [plan for plan in plans if _has_orders_enough(plan, parts)]
    if not plans:
        raise LabError(
            "the orders of one prompt lie too far apart for a full design, whose interval is for "
            "other sentences and these orders; plan several prompts with --prompts, or take the "
            "incomplete design"
        )
    enough = [plan for plan in plans if plan.half_width <= half_width]
    if not enough:
        nearest = min(plans, key=lambda plan: plan.half_width)
        raise LabError(
            f"a half-width of {100 * half_width:g} points is out of reach: {nearest.prompts} "
            f"prompts, {nearest.orders} orders and {nearest.sentences} sentences reach "
            f"{100 * nearest.half_width:.2f}; ask for a larger one with --half-width"
        )
    return min(enough, key=lambda plan: (plan.seconds, plan.scorings))


def _plans(
    parts: Components,
    costs: Costs,
    sentences: int,
    available: int,
    design: str,
    at_least_prompts: int,
    pool: int | None,
) -> list[Plan]:
    counts = sorted({n for n in SENTENCES if n <= sentences} | {sentences})
    prompts = [at_least_prompts]
    if parts.prompt is not None:  # else nothing tells what more of them would bring
        prompts += [count for count in PROMPTS if count > at_least_prompts]
    # in a full design every sentence is read in every order: an order has all sentences
    numbers = (
        [(p, n, orders, n) for p, n, orders in itertools.product(prompts, counts, ORDERS)]
        if design == "full"
        else itertools.product(
            prompts, counts, *((PER_SENTENCE, PER_ORDER) if pool is None else OF_ITS_OWN)
        )
    )
    return [
        _plan(design, parts, costs, available, pool, *row) for row in numbers if row[2] <= available
    ]


def _has_orders_enough(plan: Plan, parts: Components) -> bool:
    if plan.design != "full" or plan.prompts > 1:
        return True  # other orders are part of the interval
    whole = parts.variance(1, plan.orders, plan.sentences, plan.orders * plan.sentences)
    return parts.order / plan.orders <= OF_ORDERS * whole


def _plan(
    design: str,
    parts: Components,
    costs: Costs,
    available: int,
    pool: int | None,
    prompts: int,
    sentences: int,
    per_sentence: int,
    per_order: int,
) -> Plan:
    readings = -(-sentences // per_order) * per_sentence  # of a prompt in some order
    orders = min(readings, available)
    scorings = sentences * per_sentence
    width = parts.half_width(prompts, orders, sentences, scorings, full=design == "full", pool=pool)
    total = scorings + sentences
    seconds = prompts * (costs.prompt + (readings + 1) * costs.order + total * costs.scoring)
    return Plan(design, prompts, orders, sentences, per_sentence, per_order, total, width, seconds)
