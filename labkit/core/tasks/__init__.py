"""Tasks: examples with labels, in three splits, and the words to ask with.

The default data need no account and no network (``data/README.md`` says more of each):

- ``rt-polarity``, the course's data set (Pang and Lee 2005), 10,601 sentences of movie reviews;
- ``movie-valence``, ``amazon-valence``, ``editorials-valence``, ``tweets-valence`` (Hutto and
  Gilbert 2014): the sign of a mean human rating, or the rating itself with ``as_regression=True``.

The seven GLUE tasks come from ``LABKIT_DATA`` or the Hub, four more (snli, cr, subj, mpqa) from
``LABKIT_DATA``, and any folder of ``<split>.jsonl`` files is a task too.

Public GLUE has no test labels. Here ``test`` is the published validation set, and ``validation`` is
a seeded tenth (at most 1,000) of train: choose on validation, report on test. Examples that share a
text stand on the same side of a cut.

Usage::

    task = load_task("rt-polarity")
    task.split("test")[0].text
"""

from __future__ import annotations

import difflib
from pathlib import Path

from labkit.core.errors import LabError
from labkit.core.tasks.folders import folder_task
from labkit.core.tasks.originals import (
    VALENCE_FILES,
    VALENCE_RANGE,
    read_polarity_files,
    rt_polarity,
    valence_task,
)
from labkit.core.tasks.prompts import TASK_PROMPTS
from labkit.core.tasks.published import GLUE, PUBLISHED, published_task
from labkit.core.tasks.splits import (
    MOST_VALIDATION,
    SHARED_SENTENCES,
    TRAINED_ON,
    are_seen,
    normalise,
    split_examples,
    without_overlap,
)
from labkit.core.tasks.task import POLES, SPLITS, Example, Task, TaskPrompt, classes_of

__all__ = [
    "GLUE",
    "MOST_VALIDATION",
    "POLES",
    "SHARED_SENTENCES",
    "SPLITS",
    "TASKS",
    "TASK_PROMPTS",
    "TRAINED_ON",
    "VALENCE_RANGE",
    "Example",
    "Task",
    "TaskPrompt",
    "are_seen",
    "classes_of",
    "load_task",
    "normalise",
    "read_polarity_files",
    "split_examples",
    "without_overlap",
]

TASKS = ("rt-polarity", *VALENCE_FILES, *PUBLISHED)


def load_task(name: str, path: str | Path | None = None, *, as_regression: bool = False) -> Task:
    """Load a task by name, or from a folder of ``<split>.jsonl`` files.

    Args:
        name: one of ``TASKS``, or a folder.
        path: for ``rt-polarity``: a folder with the original ``rt-polarity.pos`` and ``.neg``.
        as_regression: for the valence tasks: the rating itself instead of its sign.

    Raises:
        LabError: for an unknown name, data that cannot be had, or a file that cannot be read.
    """
    if path is not None and name != "rt-polarity":
        raise LabError(f"path={str(path)!r} is for rt-polarity; for {name!r} set LABKIT_DATA")
    if as_regression and name not in VALENCE_FILES:
        raise LabError(
            f"task {name!r} has no valence to regress on; these have: {', '.join(VALENCE_FILES)}"
        )
    if name == "rt-polarity":
        return rt_polarity(path)
    if name in VALENCE_FILES:
        return valence_task(name, as_regression)
    if name in PUBLISHED:
        return published_task(name)
    if not name.strip():
        raise LabError("the name of a task is empty; give one, or a folder with train.jsonl")
    if Path(name).is_dir():
        return folder_task(Path(name))
    close = difflib.get_close_matches(name, TASKS, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise LabError(
        f"there is no task {name!r}{hint}; there are {', '.join(TASKS)}, or give a folder with "
        "train.jsonl"
    )
