"""Exercise B.2: the check of ``order_plan``."""

from __future__ import annotations

from collections.abc import Mapping

from labkit.course.exercises import plans
from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, require
from labkit.course.exercises.guard import CheckFailed, Guarded


def plan_of(answer: Guarded) -> Mapping:
    """The plan that an answer gives, twice the same; fails where it can't be carried out."""
    plan = answer()
    require(plan is not None, "nothing comes back (None): is the `return` missing?")
    wrong = plans.problem(plan)
    if wrong is not None:
        raise CheckFailed(wrong)
    same = plans.lock(answer()) == plans.lock(plan)
    require(same, "the plan is another one each time it is asked for: write plain values")
    return plan


@exercise
def check_order_plan(order_plan: Guarded, draw: Draw) -> str:
    """``order_plan``: nothing → a plan that :mod:`labkit.course.exercises.plans` can carry out."""
    plan = plan_of(order_plan)
    return (
        f"a plan of {plans.forward_passes(plan):,} forward passes; its lock is {plans.lock(plan)}"
    )
