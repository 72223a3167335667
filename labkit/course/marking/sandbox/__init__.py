"""A submission's cells, run where they can harm nothing: :func:`run_cells`.

Three processes: this one, which trusts nothing it is given; one that talks to the kernel
(``session``) and may be lost; and the kernel, within limits (``limited``) and behind the doors that
bubblewrap shuts (``doors``). Where the system has no such doors (macOS, Windows, a container that
forbids them) the kernel runs with the same limits and with Python's sockets taken away, which stops
an accident and not an intention.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from labkit.core import assets
from labkit.core.errors import LabError
from labkit.course.marking.sandbox import doors
from labkit.course.marking.sandbox.session import NO_KERNEL

LIMITED = Path(__file__).with_name("limited.py")
GRACE_S = 90
"""Seconds for starting and replacing kernels, on top of the time for the cells."""

NO_SOCKETS = (
    "import socket as _s\n"
    "def _refuse(*a, **k): raise OSError('no network while marking')\n"
    "for _n in ('connect', 'connect_ex', 'sendto', 'bind'): setattr(_s.socket, _n, _refuse)\n"
    "_s.create_connection = _s.getaddrinfo = _refuse\n"
    "del _s, _n, _refuse"
)


@dataclass(frozen=True)
class Limits:
    """What one submission of one notebook may use."""

    cell_s: float = 60
    total_s: float = 300
    memory: int = 6 << 30


class Cell(NamedTuple):
    """A cell to run: its place in the notebook, its source, whether it is a test."""

    index: int
    source: str
    test: bool
    given: bool = False
    """Nobody's but the course's: it may take all the seconds of the notebook."""


class Result(NamedTuple):
    """What a cell left: outputs as nbformat has them, and the error, if it ended in one."""

    outputs: list[dict]
    error: dict | None


def isolates() -> bool:
    """Whether this system lets a process be shut in (Linux with bubblewrap)."""
    return not doors.why_open()


def run_cells(
    cells: Sequence[Cell], limits: Limits, hidden: Sequence[Path] = ()
) -> dict[int, Result]:
    """Run cells in a fresh kernel; those that were not reached are missing from the result.

    Args:
        hidden: folders that the kernel must not see.

    Raises:
        LabError: if no kernel can be started at all.
    """
    folder = Path(tempfile.mkdtemp(prefix="lk")).resolve()
    try:
        scratch, private = folder / "s", folder / "own"
        doors.make_scratch(scratch)
        private.mkdir()
        spec = _spec(cells, limits, scratch, [*hidden, private])
        (private / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
        with (private / "results.jsonl").open("w+", encoding="utf-8") as results:
            _session(private / "spec.json", results, limits.total_s + GRACE_S)
            results.seek(0)
            return dict(_read(results))
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Whatever is in it: folders nobody may enter, or nested deeper than Python can follow."""
    for words in (["chmod", "-R", "u+rwx"], ["rm", "-rf"]):
        subprocess.run([*words, str(folder)], capture_output=True, check=False)


def _session(spec: Path, results: IO[str], limit_s: float) -> None:
    command = [sys.executable, "-m", "labkit.course.marking.sandbox.session", str(spec)]
    with contextlib.suppress(subprocess.TimeoutExpired), spec.with_name("log").open("w+") as log:
        done = subprocess.run(command, stdout=results, stderr=log, check=False, timeout=limit_s)
        if done.returncode == NO_KERNEL:  # before anything of the submission has run
            log.seek(0)
            raise LabError(f"no kernel can be started for marking: {log.read()[-2000:]}")


def _read(lines: IO[str]) -> Iterator[tuple[int, Result]]:
    for line in lines:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            return  # the line during which the session was ended
        yield entry["index"], Result(entry["outputs"], entry["error"])


def _spec(cells: Sequence[Cell], limits: Limits, scratch: Path, hidden: Sequence[Path]) -> dict:
    isolate = isolates()
    kernel = [
        sys.executable,
        *("-m", "ipykernel_launcher", "-f", "{connection_file}"),
        "--HistoryManager.enabled=False",
    ]
    if not isolate:
        kernel.append(f"--IPKernelApp.exec_lines={[NO_SOCKETS]!r}")
    limited = json.dumps({"memory": limits.memory, "processes": isolate})
    entry = [sys.executable, "-I", str(LIMITED), limited]
    folders = [path.resolve() for path in hidden if path.is_dir()]
    return {
        "cells": [cell._asdict() for cell in cells],
        "cell_s": limits.cell_s,
        "total_s": limits.total_s,
        "scratch": str(scratch),
        "work": str(scratch / "work"),
        "kernel": [*(doors.command(scratch, folders) if isolate else []), *entry, *kernel],
        "environment": _environment(scratch / "work"),
    }


def _environment(home: Path) -> dict[str, str]:
    """Nothing of the instructor's own but where the models, the data and labkit are."""
    data = assets.data_dir()
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(home),
        "IPYTHONDIR": str(home / ".ipython"),
        "MPLCONFIGDIR": str(home / ".matplotlib"),
        "PYTHONPATH": str(doors.PACKAGE.parent),
        "USER": "student",  # there is no list of users behind the doors
        "LANG": "C.UTF-8",
        "LABKIT_CACHE": str(assets.cache_dir().resolve()),
        **({} if data is None else {"LABKIT_DATA": str(data.resolve())}),
        "HF_HUB_OFFLINE": "1",
    }
