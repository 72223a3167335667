"""Checks of notebook 04_shuffle_probe, one module an exercise."""

# ruff: noqa: F401 (the course's checks are taken from here)

from labkit.course.exercises.checks.shuffle_probe.block_orders import check_block_orders
from labkit.course.exercises.checks.shuffle_probe.discoveries import check_discoveries
from labkit.course.exercises.checks.shuffle_probe.mcnemar import check_mcnemar
from labkit.course.exercises.checks.shuffle_probe.prediction_matrix import check_prediction_matrix
