"""Files and folders that are whole or not there: written aside, then moved into place.

Whoever reads sees the earlier content or the new one, never a half; what goes wrong while writing
(a full disk, Ctrl-C) leaves the earlier content as it was.

Usage::

    write_text(file, text)
    with file_aside(file) as aside:
        torch.save(state, aside)
    with folder_aside(folder) as aside:
        model.save_pretrained(aside)
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from labkit.core.errors import LabError


@contextlib.contextmanager
def file_aside(file: Path) -> Iterator[Path]:
    """A path beside ``file`` to write to; it takes ``file``'s place when the block ends well.

    A link stays, and leads to the new content: moving onto the link would take its place.

    Raises:
        OSError: where the file can't be written.
    """
    file = real(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    # other writers may be other machines that share the folder: a process id would not do
    aside = file.with_name(f".{file.name}-{uuid.uuid4().hex[:8]}.part")
    try:
        yield aside
        os.replace(aside, file)
    finally:
        aside.unlink(missing_ok=True)


def write_text(file: Path, text: str) -> None:
    """Write a text file in one operation."""
    with file_aside(file) as aside:
        aside.write_text(text, encoding="utf-8")


def parse_json(text: str | bytes) -> object:
    """What people wrote as JSON: a byte order mark is passed over, and a key stands once.

    Raises:
        ValueError: for what is no JSON, or no UTF-8; where a key stands twice in an object, of
            which Python's own reader takes the last without a word; for nesting without end.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    try:
        return _JSON.decode(text.removeprefix("\ufeff"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _each_key_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    known = dict(pairs)
    if len(known) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice")
    return known


_JSON = json.JSONDecoder(object_pairs_hook=_each_key_once)


def real(path: Path) -> Path:
    """Where a path leads; a link that leads to itself stays (``resolve`` fails before 3.13)."""
    return Path(os.path.realpath(path))


def with_region(text: str, begin: str, end: str, lines: Sequence[str]) -> str:
    """A page with what stands between two marks replaced by ``lines``.

    Raises:
        LabError: for a page without the marks.
    """
    before, first, rest = text.partition(begin)
    _, last, after = rest.partition(end)
    if not (first and last):
        raise LabError(f"a page has lost its marks {begin} and {end}; put them where the lines go")
    return "\n".join([before + begin, "", *lines, "", end + after])


@contextlib.contextmanager
def folder_aside(folder: Path) -> Iterator[Path]:
    """An empty folder beside ``folder`` to fill; it takes ``folder``'s place, whatever stands
    there, when the block ends well. Everybody may read what is in it. A link stays, as above.

    Raises:
        OSError: where the folder can't be written.
    """
    folder = real(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield aside
        _make_readable(aside)
        _replace(folder, aside)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _replace(folder: Path, new: Path) -> None:
    """Move ``new`` to ``folder``; whatever stands there is put back if the move fails."""
    old = new.with_name(new.name + "-old")
    if folder.exists():
        os.replace(folder, old)
    try:
        os.replace(new, folder)
    except BaseException:  # Ctrl-C too
        if old.exists():
            os.replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _make_readable(folder: Path) -> None:
    """mkdtemp and safetensors make what they write private; prompts and models are passed on."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
