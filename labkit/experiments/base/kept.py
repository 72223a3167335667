"""Train once, keep, reuse: whatever several rows need is made by the first that comes to it.

Rows run in processes of their own, several at a time. Each kept thing has a lock, so that a row
that needs what another one is making waits for it instead of making it again. A thing is known by
a digest of all that made it; one with another digest is made anew.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock

from labkit.core.errors import LabError
from labkit.core.files import write_text
from labkit.core.prompted_model import PromptedModel
from labkit.experiments.base.models import short
from labkit.experiments.base.result_file import LOCKS, file_name
from labkit.experiments.base.runner import PROMPTS
from labkit.experiments.base.setting import Place
from labkit.soft_prompt import SoftPrompt, load_prompt, save_prompt

Train = Callable[[Path], dict]
"""Trains the prompt, with its checkpoints in the given folder: what is to be said of it."""


@contextlib.contextmanager
def alone(out: Path, name: str) -> Iterator[None]:
    """Within the block no other row, in whatever process, is at work on what has this name."""
    folder = out / LOCKS
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{file_name(name)}.lock"):
        yield


@contextlib.contextmanager
def checkpoint_beside(folder: Path) -> Iterator[Path]:
    """A folder for the checkpoints of what will stand in ``folder``, gone when the block ends well.

    After a stop it is still there, for the training to go on from.
    """
    checkpoint = folder.with_name(f"{folder.name}.run")
    yield checkpoint
    shutil.rmtree(checkpoint, ignore_errors=True)


def course_folder(backbone: str, task: str, seed: int = 0) -> Path:
    """Where the course keeps its own prompt for a model and a task; it need not be there."""
    return PROMPTS / f"{short(backbone)}-{task}{f'-seed{seed}' if seed else ''}"


def kept_prompt(
    folder: Path,
    place: Place,
    model: PromptedModel,
    start: SoftPrompt,
    train: Train,
    *,
    seed: int,
    digest: str,
) -> tuple[SoftPrompt, dict]:
    """The prompt that is kept in ``folder``; ``start`` trained and saved there if there is none.

    Args:
        train: trains ``start`` in place; a stopped training goes on from its checkpoint.
        digest: of all that made the prompt: one with another digest is trained anew.

    Returns:
        The prompt, and what ``train`` said of it.
    """
    with alone(place.out, str(folder.relative_to(place.out))):
        known = _open(folder, digest)
        if known is not None:
            return known
        with checkpoint_beside(folder.with_name(f"{folder.name}-{digest}")) as checkpoint:
            notes = train(checkpoint)
            scores = {**notes, "digest": digest}
            save_prompt(folder, start, model, command=place.command, seed=seed, scores=scores)
        return start, notes


def _open(folder: Path, digest: str) -> tuple[SoftPrompt, dict] | None:
    if not folder.is_dir():
        return None
    prompt, card = load_prompt(folder)
    notes = {} if card is None else dict(card.scores)
    if notes.pop("digest", None) != digest:
        return None
    return prompt, notes


def kept_result(file: Path, place: Place, make: Callable[[], dict]) -> dict:
    """What is kept in a JSON file whose name says what made it, made now if it is not there."""
    with alone(place.out, str(file.relative_to(place.out))):
        if file.is_file():
            try:
                return json.loads(file.read_text(encoding="utf-8"))
            except ValueError as error:
                raise LabError(f"{file} is damaged ({error}); delete it and run again") from error
        result = make()
        write_text(file, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        return result
