"""Checks of notebook 03_p_tuning, one module an exercise."""

# ruff: noqa: F401 (the course's checks are taken from here)

from labkit.course.exercises.checks.p_tuning.count_trained import check_count_trained
from labkit.course.exercises.checks.p_tuning.encode import check_encode
from labkit.course.exercises.checks.p_tuning.lay_between import check_lay_between
from labkit.course.exercises.checks.p_tuning.template_spread import check_template_spread
