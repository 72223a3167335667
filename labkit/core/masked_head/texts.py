"""Texts to train a masked head on: none that any task is scored with.

Texts are the training splits of tasks, and lines of files in a folder. What equals, contains or is
contained in a validation or test text of *any* task at hand is dropped, so that no score is one on
a text that was learnt by heart, and what is held out is new.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from labkit.core import assets, tasks
from labkit.core.errors import LabError
from labkit.core.tasks import Example, Task, normalise
from labkit.core.tasks.originals import VALENCE_FILES
from labkit.core.tasks.published import PUBLISHED

DEFAULT_TASKS = ("rt-polarity", *VALENCE_FILES)

FEW_WORDS = 4
"""A protected text with fewer words is a phrase that everybody uses ("very good"): it is only kept
out as a whole text. Looked for inside others it would take half of them along."""


class Texts(NamedTuple):
    """Texts without repetition.

    ``sources``: what they were taken from, for a card.
    """

    training: list[str]
    held_out: list[str]
    sources: list[str]

    def sha256(self) -> str:
        return hashlib.sha256("\n".join(self.training).encode()).hexdigest()


def gather_texts(names: Sequence[str], folder: Path | None = None) -> Texts:
    """Training texts of tasks and of a folder, and the tasks' validation texts, held out.

    Args:
        names: of tasks; folder: its ``.txt`` files are used too, one text a line.

    Raises:
        LabError: for a task that cannot be had, or a folder without such files.
    """
    used = {name: tasks.load_task(name) for name in names}
    texts = _texts(e for task in used.values() for e in task.split("train"))
    if folder is not None:
        texts |= _lines(folder)
    protected = _texts(
        example
        for task in (*_others_at_hand(used), *used.values())
        for split in ("validation", "test")
        for example in task.split(split)
    )
    longer = [_example(t) for key, t in protected.items() if len(key.split()) >= FEW_WORDS]
    new = [_example(text) for key, text in texts.items() if key not in protected]
    kept = [example.text for example in tasks.without_overlap(new, longer)]
    held_out = _texts(e for task in used.values() for e in task.split("validation"))
    sources = [*names, *([folder.resolve().name] if folder else [])]
    return Texts(kept, list(held_out.values()), sources)


def _others_at_hand(used: Iterable[str]) -> list[Task]:
    """The default tasks and those in ``LABKIT_DATA``: nothing is asked of the network."""
    data = assets.data_dir()
    names = [name for name in tasks.TASKS if name not in used]
    published = [n for n in names if n in PUBLISHED and data is not None and (data / n).is_dir()]
    return [tasks.load_task(name) for name in names if name in published or name not in PUBLISHED]


def _texts(examples: Iterable[Example]) -> dict[str, str]:
    """Each text under its normalised form; the first one where several agree."""
    result: dict[str, str] = {}
    for example in examples:
        for text in example.fields.values():
            if key := normalise(text):
                result.setdefault(key, text)
    return result


def _example(text: str) -> Example:
    return Example("", {"text": text}, 0)


def _lines(folder: Path) -> dict[str, str]:
    files = sorted(folder.glob("**/*.txt"))
    if not files:
        raise LabError(f"{folder} holds no .txt file; put texts there, one a line")
    return _texts(_example(line.strip()) for file in files for line in _read(file).splitlines())


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(
            f"{file} cannot be read as UTF-8 text ({error}); mend or remove it"
        ) from error
