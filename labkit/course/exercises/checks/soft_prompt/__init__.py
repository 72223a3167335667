"""Checks of notebook 02_soft_prompt, one module an exercise."""

# ruff: noqa: F401 (the course's checks are taken from here)

from labkit.course.exercises.checks.soft_prompt.keep_nearest import check_keep_nearest
from labkit.course.exercises.checks.soft_prompt.leak import check_leak
from labkit.course.exercises.checks.soft_prompt.nearest import check_nearest
from labkit.course.exercises.checks.soft_prompt.prepend import check_prepend
from labkit.course.exercises.checks.soft_prompt.sample_init import check_sample_init
from labkit.course.exercises.checks.soft_prompt.training_step import check_training_step
