"""Checks of the lab "Soft prompt tuning from nothing", one module a milestone."""

# ruff: noqa: F401 (the course's checks are taken from here)

from labkit.course.exercises.checks.lab_a_soft_prompt.batches import check_batches
from labkit.course.exercises.checks.lab_a_soft_prompt.collate import check_collate
from labkit.course.exercises.checks.lab_a_soft_prompt.label_scores import check_label_scores
from labkit.course.exercises.checks.lab_a_soft_prompt.learning_rate import check_learning_rate
from labkit.course.exercises.checks.lab_a_soft_prompt.predict import check_predict
from labkit.course.exercises.checks.lab_a_soft_prompt.save_prompt import check_save_prompt
from labkit.course.exercises.checks.lab_a_soft_prompt.soft_prompt import check_soft_prompt
from labkit.course.exercises.checks.lab_a_soft_prompt.train import check_train
