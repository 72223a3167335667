"""Exercise B.3: the check of ``plan_lock``."""

from __future__ import annotations

from collections.abc import Callable

from labkit.course.exercises import plans
from labkit.course.exercises.answers import exercise
from labkit.course.exercises.checks.lab_b_order_claim.order_plan import plan_of
from labkit.course.exercises.compare import Draw, require
from labkit.course.exercises.guard import Guarded


def locked_by(answer: Guarded, order_plan: Callable) -> str:
    """The lock that an answer gives; fails where the plan no longer fits it."""
    locked, now = answer(), plans.lock(plan_of(Guarded(order_plan, "order_plan")))
    require(locked is not None, "nothing comes back (None): is the `return` missing?")
    require(
        isinstance(locked, str),
        f"a value of type {type(locked).__name__} comes back: the lock is a text, in quotes",
    )
    locked = locked.strip()
    digits = len(locked) == len(now) and not set(locked) - set("0123456789abcdef")
    require(digits, f"{locked!r} is no lock: {len(now)} of the digits 0-9 and a-f")
    require(
        locked == now,
        f"the plan's lock is {now}, and it was locked as {locked}: the plan was changed after it "
        "was locked. Lock it again, carry it out again, and say so in the report",
    )
    return locked


@exercise
def check_plan_lock(plan_lock: Guarded, draw: Draw, order_plan: Callable) -> str:
    """``plan_lock``: nothing → the lock of the plan, as it was printed before the run."""
    return f"locked as {locked_by(plan_lock, order_plan)}, and unchanged since"
