"""Folders that verbs write to: what they replace is their own kind, and a stopped run can go on."""

from __future__ import annotations

import contextlib
import os.path
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from labkit.core.errors import LabError
from labkit.core.files import real

RUN_FOLDER = ".run"
"""Inside the folder of a prompt that is being trained: the state to resume from."""


@contextlib.contextmanager
def run_folder(out: Path, command: str, resume: bool) -> Iterator[Path]:
    """``<out>/.run`` for the state of a run; saving the finished prompt replaces it.

    Raises:
        LabError: if ``out`` can't be written, holds other files (they would be lost), or holds a
            run that is not finished and not the one to resume.
    """
    folder, started = out / RUN_FOLDER, out / RUN_FOLDER / "command.txt"
    state = folder / "state.pt"
    check_replaceable(out)
    if state.is_file():
        with writing(out):
            earlier = started.read_text(encoding="utf-8") if started.is_file() else "another run"
        if not resume:
            raise LabError(
                f"{out} holds a run that was interrupted; continue it with --resume, choose "
                f"another --out, or delete {folder}"
            )
        if earlier != command:
            raise LabError(
                f"{out} holds a run started as `{earlier}`; resume with the same options, or "
                "choose another --out"
            )
    with writing(out):
        folder.mkdir(parents=True, exist_ok=True)
        started.write_text(command, encoding="utf-8")
    try:
        yield folder
    finally:
        if not state.is_file():  # nothing to resume from: leave no trace
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                out.rmdir()  # only if it is empty


def check_replaceable(out: Path, what: str = "prompt", files: Collection[str] = ()) -> None:
    """Whether a folder of this kind may take this place: that of another one of it, or none.

    Args:
        files: all that such a folder holds; default: a soft prompt's.

    Raises:
        LabError: for the folder that the user stands in, one that holds other files, or one that
            can't be moved aside.
    """
    from labkit.soft_prompt import CARD, CONFIG, WEIGHTS

    check_movable(out)
    here = Path.cwd()
    if real(out) in (here, *here.parents):
        raise LabError(f"--out {out} is the folder you stand in, or around it; name one inside it")
    if out.is_dir():
        own = files or (CARD, CONFIG, WEIGHTS, RUN_FOLDER)
        others = {file.name for file in out.iterdir()}.difference(own)
        if others:
            raise LabError(
                f"--out {out} holds other files ({', '.join(sorted(others)[:3])}); choose a folder "
                f"of the {what}'s own"
            )


def check_movable(folder: Path) -> None:
    """Before hours of work: what is replaced as a whole is written beside it, and moved there.

    Raises:
        LabError: for the root of a disk or of a container's volume, which can't be moved, or where
            nothing can be written beside the folder.
    """
    _require_reachable(folder)
    place = real(folder)
    if os.path.ismount(place):
        raise LabError(f"{folder} is the root of a disk or volume; name a folder inside it")
    _try_to_write(place.parent, folder)


def _require_reachable(folder: Path) -> None:
    for place in (folder, *folder.parents):
        if place.is_symlink() and not place.exists():
            raise LabError(f"{place} is a link that leads nowhere; choose another folder")


def check_writable(folder: Path) -> None:
    """Before hours of work, and without making anything."""
    _require_reachable(folder)
    _try_to_write(folder, folder)


def _try_to_write(place: Path, folder: Path) -> None:
    """Whether a file can be made in ``place``, or where it would be, for the sake of ``folder``."""
    from labkit.doctor import nearest_existing

    there = nearest_existing(place)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        where = "" if there == folder else f" in {there}"
        raise _not_written(folder, f"{error.strerror}{where}") from error


def check_takes_results(out: Path) -> None:
    """Before hours of work: results beside a prompt would keep the next prompt out of its folder.

    Raises:
        LabError: if ``out`` can't be written, or is the folder of a saved prompt.
    """
    from labkit.soft_prompt import CARD

    check_writable(out)
    if (out / CARD).is_file():
        raise LabError(f"--out {out} is the folder of a prompt; choose another one for results")


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Say of a file that can't be written that it is this folder's; an input's error is its own."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        name = getattr(error, "filename", None)
        if isinstance(name, str) and not _on_the_way(Path(name), folder):
            raise
        raise _not_written(folder, error) from error


def _on_the_way(file: Path, folder: Path) -> bool:
    """Whether a file lies in a folder, or is the folder or one around it."""
    file, folder = real(file), real(folder)
    return folder in file.parents or file in (folder, *folder.parents)


def _not_written(folder: Path, error: Exception | str) -> LabError:
    reason = getattr(error, "strerror", None) or error
    return LabError(f"{folder} can't be written ({reason}); make room or choose another --out")
