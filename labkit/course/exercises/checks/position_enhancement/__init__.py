"""Checks of notebook 05_position_enhancement, one module an exercise."""

# ruff: noqa: F401 (the course's checks are taken from here)

from labkit.course.exercises.checks.position_enhancement.content_share import check_content_share
from labkit.course.exercises.checks.position_enhancement.head import check_head
from labkit.course.exercises.checks.position_enhancement.relative_scores import (
    check_relative_scores,
)
from labkit.course.exercises.checks.position_enhancement.sinusoids import check_sinusoids
