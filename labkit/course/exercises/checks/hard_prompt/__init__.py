"""Checks of notebook 01_hard_prompt, one module an exercise."""

# ruff: noqa: F401 (the course's checks are taken from here)

from labkit.course.exercises.checks.hard_prompt.accuracy import check_accuracy
from labkit.course.exercises.checks.hard_prompt.clean import check_clean
from labkit.course.exercises.checks.hard_prompt.fill import check_fill
from labkit.course.exercises.checks.hard_prompt.label_ids import check_label_ids
from labkit.course.exercises.checks.hard_prompt.score_batch import check_score_batch
from labkit.course.exercises.checks.hard_prompt.split import check_split
