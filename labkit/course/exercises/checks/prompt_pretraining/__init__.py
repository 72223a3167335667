"""Checks of notebook 09_prompt_pretraining, one module an exercise."""

# ruff: noqa: F401 (the course's checks are taken from here)

from labkit.course.exercises.checks.prompt_pretraining.few_shot_gain import check_few_shot_gain
from labkit.course.exercises.checks.prompt_pretraining.next_pairs import check_next_pairs
from labkit.course.exercises.checks.prompt_pretraining.surest import check_surest
from labkit.course.exercises.checks.prompt_pretraining.without_test import check_without_test
