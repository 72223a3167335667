"""Checks of notebook 07_glue, one module an exercise."""

# ruff: noqa: F401 (the course's checks are taken from here)

from labkit.course.exercises.checks.glue.fair_mean import check_fair_mean
from labkit.course.exercises.checks.glue.fisher_interval import check_fisher_interval
from labkit.course.exercises.checks.glue.gate_cost import check_gate_cost
from labkit.course.exercises.checks.glue.paired_gain import check_paired_gain
from labkit.course.exercises.checks.glue.possible import check_possible
from labkit.course.exercises.checks.glue.two_poles import check_two_poles
