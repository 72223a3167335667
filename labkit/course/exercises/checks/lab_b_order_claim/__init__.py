"""Checks of notebook lab_b_order_claim, one module an exercise."""

# ruff: noqa: F401 (the course's checks are taken from here)

from labkit.course.exercises.checks.lab_b_order_claim.order_plan import check_order_plan
from labkit.course.exercises.checks.lab_b_order_claim.outcome import check_outcome
from labkit.course.exercises.checks.lab_b_order_claim.plan_lock import check_plan_lock
from labkit.course.exercises.checks.lab_b_order_claim.verdict import check_verdict
