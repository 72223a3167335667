"""Calling an answer so that whatever it does is told as what it is.

:class:`Guarded` stands in for an answer while a check runs. Each call looks after the same things:
an exception is the answer's own and shown with its line; an argument is as it was before; the
global generators are not reseeded; torch's modes are as they were; nothing of labkit runs; it ends
within some seconds; what is printed, to either stream, neither counts nor shows.

What it does not see: an answer that switches the profiler off, that lets another process or a
thread of its own making work for it, or that is a copy of labkit's text.
"""

from __future__ import annotations

import ast
import copy
import dis
import inspect
import linecache
import sys
import textwrap
import threading
import traceback
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from labkit.course.exercises.draws import GENERATORS, generator_states, seed_all
from labkit.course.exercises.running import (
    Overtime,
    Watch,
    current_modes,
    restore_modes,
    silence,
    time_limit,
)
from labkit.course.exercises.show import call_text, shown
from labkit.course.exercises.values import attributes, is_as, other_attribute, snapshot

LIMIT_S = 10.0
"""Seconds for one call of an answer; those of this course take milliseconds."""


WATCHED_CALLS = 60
"""So many calls of a check run under the profiler, which slows an answer down several times."""

_HERE = Path(__file__).parent


class CheckFailed(AssertionError):
    """A failed check. Jupyter shows its message alone, where other errors come with their trace."""

    def _render_traceback_(self) -> list[str]:
        return str(self).splitlines()


class OwnError(CheckFailed):
    """The answer raised something by itself; ``error`` is that."""

    def __init__(self, message: str, error: BaseException) -> None:
        super().__init__(message)
        self.error = error


class Guarded:
    """An answer that can be called as itself.

    Args:
        function: what the student wrote.
        name: of the exercise, as messages call it.
        overtime: what to say when its time is over.
        may_use_labkit: for the library's own versions.
    """

    def __init__(
        self, function: Any, name: str, overtime: str = "", may_use_labkit: bool = False
    ) -> None:
        self.function, self.name, self.overtime = function, name, overtime
        self.watched = 0 if may_use_labkit else WATCHED_CALLS
        self._calls = 0
        if not callable(function):
            raise CheckFailed(
                f"{name} is {shown(function)}, not a function: a later line gave the name another "
                "value; run the cell with your answer again"
            )

    def __call__(self, *args: Any, may_change: Collection[int] = (), **named: Any) -> Any:
        """What the answer returns.

        Args:
            may_change: places of arguments that it is asked to change: tensors, and of modules the
                weights.

        Raises:
            OwnError: if it raises something.
            CheckFailed: if it does something that no answer may.
        """
        before = [None if i in may_change else snapshot(arg) for i, arg in enumerate(args)]
        held = [attributes(arg) for arg in args]
        states, modes = seed_all(self._calls), current_modes()
        result, error = self._run(args, named)
        self._refuse_other_modes(modes)
        changed = [i for i, arg in enumerate(args) if not is_as(before[i], arg)]
        if changed:
            raise CheckFailed(
                f"{self.name} changes its argument `{self.parameter(changed[0])}`: work on a copy, "
                "the caller needs it as it was"
            )
        for place, arg in enumerate(args):
            if (name := other_attribute(held[place], arg)) is not None:
                raise CheckFailed(
                    f"{self.name} changes `{name}` of its argument `{self.parameter(place)}`: "
                    "leave it, the caller needs the module as it was"
                )
        if error is not None:
            raise OwnError(self._error_text(error, args, named), error) from None
        self._refuse_reseeding(states, args, named)
        return result

    def raised(self, *args: Any) -> BaseException | None:
        """The exception that a call ends in, if it does."""
        try:
            self(*args)
        except OwnError as raised:
            return raised.error
        return None

    def parameter(self, place: int) -> str:
        """What the answer calls its argument."""
        try:
            names = list(inspect.signature(self.function).parameters)
        except (TypeError, ValueError):
            names = []
        return names[place] if place < len(names) else f"number {place + 1}"

    def rebinds(self, place: int) -> bool:
        """Whether its code gives the name of an argument another value."""
        code = getattr(self.function, "__code__", None)
        if code is None or place >= code.co_argcount:
            return False
        name = code.co_varnames[place]
        steps = dis.get_instructions(code)
        return any(step.opname == "STORE_FAST" and step.argval == name for step in steps)

    def _run(self, args: tuple, named: dict) -> tuple[Any, BaseException | None]:
        self._calls += 1
        watch = Watch(args) if self._calls <= self.watched else None
        result, error = None, None
        try:
            with silence(), time_limit(LIMIT_S):
                earlier = sys.getprofile()
                try:
                    if watch is not None:
                        threading.setprofile(watch)
                        sys.setprofile(watch)
                    result = self.function(*args, **named)
                finally:
                    if watch is not None:
                        sys.setprofile(earlier)
                        threading.setprofile(None)
        except Overtime as over:
            raise CheckFailed(self._overtime_text(over, args, named)) from None
        except (Exception, SystemExit, GeneratorExit) as raised:
            error = raised
        if watch is not None and watch.seen:
            raise CheckFailed(
                f"{self.name} hands the work to labkit ({', '.join(sorted(watch.seen))}): here it "
                "is yours to write"
            )
        if isinstance(error, NotImplementedError) and _lines_of(error, self.function):
            raise CheckFailed(self._empty_text()) from None
        return result, error

    def _refuse_other_modes(self, before: tuple) -> None:
        """What a call switches holds for the whole notebook; the next cell expects it as it was."""
        left_behind = restore_modes(before)
        if left_behind:
            call, instead = left_behind
            raise CheckFailed(
                f"{self.name} switches something for the whole notebook ({call}): later cells "
                f"would meet it; {instead}"
            )

    def _refuse_reseeding(self, before: tuple, args: tuple, named: dict) -> None:
        """Drawing from a global generator moves it on; seeding puts it where it always is."""
        after = generator_states()
        moved = [i for i, state in enumerate(after) if state != before[i]]
        if not moved:
            return
        seed_all(self._calls + 7919)
        self._run(copy.deepcopy(args), named)
        again = generator_states()
        seeded = [GENERATORS[i] for i in moved if again[i] == after[i]]
        if seeded:
            call, instead = seeded[0]
            raise CheckFailed(
                f"{self.name} reseeds the global generator ({call}): whatever the notebook draws "
                f"afterwards is the same each time; draw from a generator of its own, {instead}"
            )

    # ---- texts ----

    def _error_text(self, error: BaseException, args: tuple, named: dict) -> str:
        call = call_text(self.name, args, named)
        lines = _lines_of(error, self.function)
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        what = what.splitlines()[0][:300]
        if not lines:
            return (
                f"{call} can't be called: {what}. The function keeps its name, its arguments and "
                "their order"
            )
        return f"{call} ends in {what} ({lines[-1]})"

    def _overtime_text(self, error: BaseException, args: tuple, named: dict) -> str:
        lines = _lines_of(error, self.function)
        place = f" (at {lines[-1]})" if lines else ""
        reason = self.overtime or "does its loop end?"
        return (
            f"{call_text(self.name, args, named)} gives no answer within {LIMIT_S:.0f} seconds: "
            f"{reason}{place}"
        )

    def _empty_text(self) -> str:
        if _has_more_than_the_raise(self.function):
            return (
                f"{self.name}: the line `raise NotImplementedError()` still stands beside what you "
                "wrote; delete it, run the cell, then this one"
            )
        return f"{self.name} is still empty: write it in the cell above, run that, then this one"


class _Place(NamedTuple):
    file: str
    line: int

    def __str__(self) -> str:
        text = linecache.getline(self.file, self.line).strip()
        return f"line {self.line} of the cell: `{text}`" if text else f"line {self.line}"


def _lines_of(error: BaseException, function: Any) -> list[_Place]:
    """Where the answer's own text, in whichever cells it stands, was when it happened."""
    frames = [
        _Place(frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if Path(frame.f_code.co_filename).parent != _HERE and line  # a step of no line has None
    ]
    code = getattr(inspect.unwrap(function), "__code__", None)
    files = {code.co_filename} if code is not None else set()
    mine = [place for place in frames if place.file in files or _is_cell(place.file)]
    return mine or frames[:1]


def _is_cell(file: str) -> bool:
    return file.startswith("<") or "ipykernel_" in file


def _has_more_than_the_raise(function: Any) -> bool:
    """Whether an answer holds statements besides its documentation and the line to delete."""
    try:
        (written,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
        methods = written.body if isinstance(written, ast.ClassDef) else [written]
        body = [node for method in methods for node in getattr(method, "body", [])]
    except (OSError, TypeError, SyntaxError, ValueError):
        code = getattr(function, "__code__", None)
        lines = {line for *_, line in code.co_lines() if line} if code else set()
        return len(lines - {code.co_firstlineno}) > 1 if code else False
    rest = [node for node in body if not isinstance(node, ast.Raise | ast.Pass)]
    texts = [n for n in rest if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)]
    return len(rest) > len(texts)
