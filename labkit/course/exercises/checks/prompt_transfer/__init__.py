"""Checks of notebook 08_prompt_transfer, one module an exercise."""

# ruff: noqa: F401 (the course's checks are taken from here)

from labkit.course.exercises.checks.prompt_transfer.average_start import check_average_start
from labkit.course.exercises.checks.prompt_transfer.retrieved_gain import check_retrieved_gain
from labkit.course.exercises.checks.prompt_transfer.same_kind_gain import check_same_kind_gain
from labkit.course.exercises.checks.prompt_transfer.share_kept import check_share_kept
from labkit.course.exercises.checks.prompt_transfer.task_similarity import check_task_similarity
