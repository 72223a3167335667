"""Progress of a verb on standard error, for people and for a job's log, and the curve in a file."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TextIO

from labkit.cli.output import complain, finite
from labkit.core.errors import LabError
from labkit.core.files import real

EVERY = 60.0
"""Seconds between the plain lines of work that no terminal watches."""

Update = Callable[..., None]
"""Called with (done, total, text): how far the work is. Numbers by name, such as ``loss=``, belong
to the step that is done."""


@contextlib.contextmanager
def progress(text: str, log: Path | None = None, replaced: Path | None = None) -> Iterator[Update]:
    """How far the work is: a bar on a terminal, elsewhere a plain line now and then.

    Args:
        text: what is done first; an update may say what comes after it.
        log: file of JSON lines that each update is added to.
        replaced: folder that is written as a whole; the log can't be in it.

    Raises:
        LabError: if the log can't be written.
    """
    if log is not None and replaced is not None and real(replaced) in real(log).parents:
        raise LabError(f"--log {log} is in --out {replaced}, which is replaced; name one elsewhere")
    watched = sys.stderr.isatty()
    with _log(log) as write, _bar(text) if watched else nullcontext(_Lines()) as show:
        what = text

        def update(
            done: float, total: float | None, text: str | None = None, **values: float | None
        ) -> None:
            nonlocal what
            what = text or what
            values = {name: value for name, value in values.items() if value is not None}
            write({"done": done, "total": total, "what": what, **(values or _loss_in(what))})
            numbers = (f"{name} {value:.3f}" for name, value in values.items())
            show(done, total, ", ".join((what, *numbers)))

        yield update


def _loss_in(what: str) -> dict[str, float]:
    """The loss that a row of a table ends its text with."""
    ended = re.search(r", loss (\S+)$", what)
    return {} if ended is None else {"loss": float(ended[1])}


@contextlib.contextmanager
def _bar(text: str) -> Iterator[Callable[[float, float | None, str], None]]:
    """A bar with the time left."""
    from rich import progress
    from rich.console import Console

    bar = progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        refresh_per_second=4,
    )
    with bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total, what: bar.update(
            task, completed=done, total=total, description=what
        )


@dataclass
class _Lines:
    """Plain lines on standard error, one in ``EVERY`` seconds.

    Rate and time left are those since the work of this total began, here: a run that goes on has
    not done its first part just now.
    """

    last: float = field(default_factory=time.monotonic)
    total: float | None = None
    first: float = 0.0
    begun: float = 0.0
    done: float = 0.0

    def __call__(self, done: float, total: float | None, what: str) -> None:
        now = time.monotonic()
        if total != self.total or done < self.done:
            self.total, self.first, self.begun = total, done, now
        self.done = done
        if now - self.last < EVERY:
            return
        self.last = now
        complain(f"{time.strftime('%H:%M:%S')} {what}{self._pace(now)}")

    def _pace(self, now: float) -> str:
        """How much is done, how fast that goes, and how long the rest takes at that rate."""
        if not self.total:
            return ""
        pace = f"; {self.done:,.4g} of {self.total:,}"
        if self.done <= self.first or now <= self.begun:
            return pace
        rate = (self.done - self.first) / (now - self.begun)
        left = timedelta(seconds=round((self.total - self.done) / rate))
        number, unit = next(
            ((rate * seconds, unit) for seconds, unit in _UNITS if rate * seconds >= 1),
            (rate * 3600, "hour"),
        )
        return f"{pace}, {number:,.3g} a {unit}, {left} left"


_UNITS = ((1, "second"), (60, "minute"), (3600, "hour"))


_OF_EVERY_LINE = {"seconds", "done", "total", "what"}


@contextlib.contextmanager
def _log(file: Path | None) -> Iterator[Callable[[dict], None]]:
    """Adds objects to a file, each as it comes, with the seconds since the start."""
    if file is None:
        yield lambda values: None
        return
    try:
        _require_own(file)
        opened = file.open("a", encoding="utf-8", buffering=1)
    except OSError as error:
        raise LabError(
            f"--log {file} can't be written ({error.strerror}); name a file in a folder that exists"
        ) from error
    begun = time.monotonic()
    with _closing(opened):
        writing = True

        def write(values: dict) -> None:
            nonlocal writing
            if not writing:
                return
            line = finite({"seconds": round(time.monotonic() - begun, 3), **values})
            try:
                opened.write(json.dumps(line, ensure_ascii=False) + "\n")
            except OSError as error:  # the work is worth more than its curve
                writing = False
                complain(f"warning: --log {file} ends here ({error.strerror}); the work goes on")

        yield write


def _require_own(file: Path) -> None:
    """Whether a file that is there was begun by a log: nothing is added to anybody else's.

    Raises:
        LabError: if it was not. OSError: where it can't be read.
    """
    if not file.is_file():  # a terminal or a pipe too
        return
    with file.open("rb") as there:
        first = there.readline(1 << 16)
    try:
        begun = json.loads(first) if first.strip() else None
    except ValueError:
        begun = {}
    if begun is not None and not (isinstance(begun, dict) and begun.keys() >= _OF_EVERY_LINE):
        raise LabError(
            f"--log {file} is there and holds something else than steps; name a new file"
        )


@contextlib.contextmanager
def _closing(opened: TextIO) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # of a full disk, which was said
            opened.close()
