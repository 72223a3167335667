"""Checks of notebook 06_lstm_sorter, one module an exercise."""

# ruff: noqa: F401 (the course's checks are taken from here)

from labkit.course.exercises.checks.lstm_sorter.gate import check_gate
from labkit.course.exercises.checks.lstm_sorter.lstm_step import check_lstm_step
from labkit.course.exercises.checks.lstm_sorter.mask_chosen import check_mask_chosen
from labkit.course.exercises.checks.lstm_sorter.straight_through import check_straight_through
from labkit.course.exercises.checks.lstm_sorter.swap_changes import check_swap_changes
