"""What a table's rows ask of their model and data: said before the first row is made, and not after
a prompt was trained for it.

Usage::

    Experiment(..., needs=(classes, at_least(8)))
"""

from __future__ import annotations

from labkit.core.errors import LabError
from labkit.core.loading import readout_of
from labkit.core.tasks import Task
from labkit.experiments.base.setting import Needs, Setting


def classes(setting: Setting, task: Task, limit: int | None) -> None:
    """A right and a wrong answer to each example.

    Raises:
        LabError: for a regression.
    """
    if task.kind == "regression":
        raise LabError(
            f"{task.name} asks for a number, and these rows need answers that are right or wrong; "
            "choose a task of classes with --task"
        )


def causal(setting: Setting, task: Task, limit: int | None) -> None:
    """A model that reads its virtual tokens before the words, and keeps their keys and values.

    Raises:
        LabError: for a model of another readout.
    """
    readout = readout_of(setting.backbone)
    if readout != "causal":
        raise LabError(
            f"{setting.backbone} ({readout}) does not read its virtual tokens apart from the "
            "words; choose a causal model with --backbone"
        )


def writes_text(setting: Setting, task: Task, limit: int | None) -> None:
    """A model that writes its answer itself.

    Raises:
        LabError: for a model of another readout than sequence-to-sequence.
    """
    readout = readout_of(setting.backbone)
    if readout != "seq2seq":
        raise LabError(
            f"{setting.backbone} ({readout}) writes no text of its own; choose T5 with --backbone: "
            "t5-titles"
        )


def at_least(count: int, split: str = "test") -> Needs:
    """So many examples: of test two are the least that an interval for other sentences takes."""

    def enough(setting: Setting, task: Task, limit: int | None) -> None:
        there = len(task.split(split))
        if split == "test" and limit is not None and limit < count:
            raise LabError(f"--limit {limit}: these rows need {count} test examples or more")
        if there < count:
            raise LabError(
                f"the {split} split of {task.name} has {there} examples, and these rows need "
                f"{count} or more; choose another task with --task"
            )

    return enough
