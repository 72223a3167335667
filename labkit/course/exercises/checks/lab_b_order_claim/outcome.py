"""Exercise B.4: the check of ``outcome``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from labkit.course.exercises import plans
from labkit.course.exercises.answers import exercise
from labkit.course.exercises.checks.lab_b_order_claim.order_plan import plan_of
from labkit.course.exercises.checks.lab_b_order_claim.plan_lock import locked_by
from labkit.course.exercises.compare import Draw, require
from labkit.course.exercises.guard import CheckFailed, Guarded
from labkit.course.exercises.show import shown

WORDS = ("supported", "refuted", "undecided")


def _record(value: object) -> Mapping:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise CheckFailed(
                f"the record can't be read ({error}): copy the whole line that the run printed, "
                "from { to }"
            ) from None
    require(
        isinstance(value, Mapping) and {"plan", "effect", "seal"} <= set(value),
        f"the record is {shown(value)}: copy the whole line that the run printed, from {{ to }}",
    )
    return value


@exercise
def check_outcome(outcome: Guarded, draw: Draw, order_plan: Callable, plan_lock: Callable) -> str:
    """``outcome``: nothing → the sealed record of the run, and the verdict by the plan's rule."""
    plan = plan_of(Guarded(order_plan, "order_plan"))
    locked = locked_by(Guarded(plan_lock, "plan_lock"), order_plan)
    result = outcome()
    require(result is not None, "nothing comes back (None): is the `return` missing?")
    require(
        isinstance(result, list | tuple) and len(result) == 2,
        f"{shown(result)} comes back: the record and the verdict, two values",
    )
    record, word = _record(result[0]), result[1]
    require(
        plans.is_sealed(record),
        "the record's seal does not fit its numbers: it was changed after the run, or copied in "
        "parts; copy the line again as it is",
    )
    require(
        record["plan"] == locked,
        f"the record is of the plan {record['plan']}, and {locked} is locked: a result of another "
        "plan says nothing about this one",
    )
    require(word in WORDS, f"the verdict is {shown(word)}: one of {', '.join(WORDS)}")
    value, low, high = record["effect"]
    right = plans.verdict(low, high, plan["margin"])
    require(
        word == right,
        f"{word!r} is not what the plan's rule says: the effect is {value:+.3f} "
        f"[{low:+.3f}, {high:+.3f}], the margin {plan['margin']:g}",
    )
    others = len(record["earlier"])
    before = f"; {others} other plans were carried out before it" if others else ""
    return f"the record is that of the locked plan, the verdict follows its rule{before}"
