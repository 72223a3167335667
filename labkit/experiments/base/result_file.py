"""A table on disk: rows as they come, one writer at a time, nothing of anybody else's touched.

Each finished row is written at once, so a run that is stopped leaves whole rows and goes on with
the next. The file says everything needed to run it again: command, settings, seeds, versions,
device, seconds, and for every row what any paired comparison can be computed from later.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from labkit.core.errors import LabError
from labkit.core.files import write_text

LOCKS = ".locks"

ROW = {"setting", "seed", "value"}
"""What every row of every table says."""


def file_name(setting: str) -> str:
    """A setting's name as part of a file name: letters and digits of any script, and dots."""
    return re.sub(r"(?:[^\w.]|_)+", "-", setting)


def row_stem(setting: str, seed: int) -> str:
    """What the files of one row are called."""
    return f"{file_name(setting)}-seed{seed}"


def result_files(out: Path) -> Iterator[dict]:
    """Every result in a folder; other files, whatever they hold, are passed over."""
    for file in sorted(out.glob("*.json")):
        result = read(file)
        if result is not None:
            yield result


def read(file: Path) -> dict | None:
    """A result, or None for a file that is none, or of which a row lost what every row says."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    known = isinstance(content, dict) and isinstance(content.get("rows"), list)
    is_ours = known and str(content.get("command", "")).startswith("labkit ")
    whole = is_ours and all(isinstance(row, dict) and row.keys() >= ROW for row in content["rows"])
    return content if whole else None


# ---- whose file it is ----


def identity(name: str) -> str:
    """A model or a task as a result file knows it: its id, or for a folder a digest of its path."""
    folder = Path(name)
    if not folder.is_dir():
        return name
    return "folder " + hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]


def file_for(out: Path, stem: str, about: Sequence[str], digests: Sequence[str] = ()) -> Path:
    """The file of a table: ``stem``, or one with a suffix where that belongs to another model.

    Args:
        about: :func:`identity` of its models and tasks.
        digests: of the rows that are wanted; a file that has one of them is this table's.
    """
    mark = hashlib.sha256("\n".join(about).encode()).hexdigest()[:8]
    for name in (stem, f"{stem}-{mark}"):
        file = out / f"{name}.json"
        result = read(file)
        if result is None or result.get("about", list(about)) == list(about):
            return file
        if any(row.get("digest") in digests for row in result["rows"]):
            return file
    return file


# ---- reading and writing ----


def start(file: Path, resume: bool, **about: object) -> dict:
    """The result that a table goes on with, or an empty one.

    Raises:
        LabError: for a result that is there already without ``resume``, or a file of another kind.
    """
    report = file.with_suffix(".md")
    if not file.exists():
        if report.exists() and not report.read_text(encoding="utf-8").startswith("# "):
            raise LabError(f"{report} is no report of labkit's; move it, or choose another --out")
        return {
            **about,
            "started": time.strftime("%Y-%m-%d"),
            "versions": {p: version(p) for p in ("torch", "transformers", "peft", "numpy")},
            "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
            "rows": [],
            "summary": [],
            "verdict": [],
        }
    if not resume:
        raise LabError(f"{file} exists; continue it with --resume, or choose another --out")
    result = read(file)
    if result is None:
        raise LabError(
            f"{file} is damaged, or no result of labkit's; move it away and run again (nothing in "
            "it was changed)"
        )
    return result


def write(file: Path, result: Mapping, report: Callable[[Mapping], str]) -> bool:
    """Write a result and, where it has rows, its report; whether anything in them is new.

    The rows first: no row is lost to a report that can't be made.
    """
    new = _write_new(file, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    if result["rows"]:
        new = _write_new(file.with_suffix(".md"), report(result)) or new
    return new


def _write_new(file: Path, text: str) -> bool:
    """Write a file unless it says so already; whether it did not."""
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        return False
    write_text(file, text)
    return True


# ---- one writer ----


@contextlib.contextmanager
def only_writer(
    file: Path, command: str, *, wait: bool, tell: Callable[[str], None]
) -> Iterator[None]:
    """Within the block nobody else writes this result; a second writer waits, and says for whom.

    Raises:
        LabError: without ``wait``, where somebody else is writing; says who.
    """
    folder = file.parent / LOCKS
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{file.stem}.lock")
    holder = folder / f"{file.stem}.holder"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = holder.read_text(encoding="utf-8") if holder.is_file() else "another process"
        if not wait:
            raise LabError(
                f"{file.name} is being written by {who}; wait for it, or add --resume to wait here "
                "and go on with its rows"
            ) from None
        tell(f"waiting for {who}, which writes {file.name}")
        lock.acquire()
    try:
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        who = f"process {os.getpid()} on {socket.gethostname()} since {since} (`{command}`)"
        write_text(holder, who)
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
