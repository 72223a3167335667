"""Calling an answer so that whatever it does is told as what it is.

:class:`Guarded` stands in for an answer while a check runs. Each call looks after the same things:
an exception is the answer's own and shown with its line; an argument is as it was before; the
global generators are not reseeded; nothing of labkit runs; it ends within some seconds; what is
printed, to either stream, neither counts nor shows.

What it does not see: an answer that switches the profiler off, that lets another process or a
thread of its own making work for it, or that is a copy of labkit's text.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import ctypes
import dis
import functools
import inspect
import io
import linecache
import random
import signal
import sys
import textwrap
import threading
import traceback
import types
import warnings
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from labkit.course.exercises.show import call_text, shown

LIMIT_S = 10.0
"""Seconds for one call of an answer; those of this course take milliseconds."""

WATCHED_CALLS = 60
"""So many calls of a check run under the profiler, which slows an answer down several times."""

PACKAGE = __name__.partition(".")[0]


class CheckFailed(AssertionError):
    """A failed check. Jupyter shows its message alone, where other errors come with their trace."""

    def _render_traceback_(self) -> list[str]:
        return str(self).splitlines()


class OwnError(CheckFailed):
    """The answer raised something by itself; ``error`` is that."""

    def __init__(self, message: str, error: BaseException) -> None:
        super().__init__(message)
        self.error = error


class Overtime(BaseException):
    """Not an ``Exception``, so that an answer's own ``except`` lets it through."""


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
            may_change: places of arguments that it is asked to change.

        Raises:
            OwnError: if it raises something.
            CheckFailed: if it does something that no answer may.
        """
        before = [None if i in may_change else _snapshot(arg) for i, arg in enumerate(args)]
        generators = _seed_all(self._calls)
        result, error = self._run(args, named)
        changed = [i for i, arg in enumerate(args) if not _is_as(before[i], arg)]
        if changed:
            raise CheckFailed(
                f"{self.name} changes its argument `{self.parameter(changed[0])}`: work on a copy, "
                "the caller needs it as it was"
            )
        if error is not None:
            raise OwnError(self._error_text(error, args, named), error) from None
        self._refuse_reseeding(generators, args, named)
        return result

    def raised(self, *args: Any) -> BaseException | None:
        """The exception that a call ends in, if it does."""
        try:
            self(*args)
        except OwnError as own:
            return own.error
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
        watch = _Watch(args) if self._calls <= self.watched else None
        result, error = None, None
        try:
            with _silence(), _time_limit(LIMIT_S):
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

    def _refuse_reseeding(self, before: tuple, args: tuple, named: dict) -> None:
        """Drawing from a global generator moves it on; seeding puts it where it always is."""
        after = _generators()
        moved = [i for i, state in enumerate(after) if state != before[i]]
        if not moved:
            return
        _seed_all(self._calls + 7919)
        self._run(copy.deepcopy(args), named)
        again = _generators()
        seeded = [_GENERATORS[i] for i in moved if again[i] == after[i]]
        if seeded:
            call, own = seeded[0]
            raise CheckFailed(
                f"{self.name} reseeds the global generator ({call}): whatever the notebook draws "
                f"afterwards is the same each time; draw from a generator of its own, {own}"
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


# ---- what may not change ----


def _snapshot(value: Any) -> Any:
    """A copy deep enough to see a change by; None where there is nothing to change."""
    if isinstance(value, Tensor):
        return value.detach().clone(), value.requires_grad
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, nn.Module):
        weights = {**dict(value.named_parameters()), **dict(value.named_buffers())}
        return value.training, {name: _snapshot(weight) for name, weight in weights.items()}
    if isinstance(value, dict):
        return [(key, _snapshot(inner)) for key, inner in value.items()]
    if isinstance(value, list | tuple):
        return [_snapshot(inner) for inner in value]
    return value if isinstance(value, str | bytes | int | float | bool) else None


def _is_as(before: Any, value: Any) -> bool:
    if before is None:
        return True
    now = _snapshot(value)
    return alike(before, now)


def alike(one: Any, other: Any) -> bool:
    """Whether two values, or what they hold, are equal."""
    if isinstance(one, Tensor):
        same = isinstance(other, Tensor) and one.shape == other.shape and one.dtype == other.dtype
        return same and torch.equal(one.nan_to_num(), other.nan_to_num())
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and np.array_equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(alike(a, b) for a, b in pairs)
    return bool(one == other)


_GENERATORS = (
    ("random.seed", "random.Random(seed)"),
    ("numpy.random.seed", "numpy.random.default_rng(seed)"),
    ("torch.manual_seed", "torch.Generator().manual_seed(seed)"),
)


def _generators() -> tuple:
    numpy = np.random.get_state(legacy=False)["state"]
    return (
        random.getstate(),
        (numpy["key"].tobytes(), numpy["pos"]),
        torch.get_rng_state().numpy().tobytes(),
    )


def _seed_all(number: int) -> tuple:
    """Put the global generators where no answer expects them; returns where that is."""
    random.seed(f"check {number}")
    np.random.seed(1_000_003 + number)
    torch.default_generator.manual_seed(2_000_003 + number)
    return _generators()


@contextlib.contextmanager
def generators_kept() -> Iterator[None]:
    """The notebook's own draws go on as if no check had run between them."""
    kept = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])
        torch.set_rng_state(kept[2])


# ---- what runs ----


class _Watch:
    """A profiler that notes functions of labkit's, unless the check handed them in."""

    def __init__(self, args: tuple) -> None:
        self.seen: set[str] = set()
        self._given = {code for arg in args for code in _codes_of(arg)} | _OWN_CODES
        self._within = 0

    def __call__(self, frame: types.FrameType, event: str, arg: Any) -> None:
        if event not in ("call", "return"):
            return
        if frame.f_code in self._given:
            self._within += 1 if event == "call" else -1
        elif event == "call" and not self._within and _is_ours(frame):
            self.seen.add(frame.f_code.co_qualname.replace("<module>", "import"))


def _is_ours(frame: types.FrameType) -> bool:
    name = frame.f_globals.get("__name__") or ""
    return name == PACKAGE or name.startswith(f"{PACKAGE}.")


def _codes_of(value: Any) -> Iterator[types.CodeType]:
    if isinstance(value, types.FunctionType):
        yield value.__code__
    elif isinstance(value, types.SimpleNamespace):
        for part in vars(value).values():
            yield from _codes_of(part)
    elif isinstance(value, nn.Module) or type(value).__module__.startswith(PACKAGE):
        for kind in type(value).__mro__:
            if kind.__module__.startswith(PACKAGE):
                members = vars(kind).values()
                yield from (m.__code__ for m in members if isinstance(m, types.FunctionType))


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise :class:`Overtime` in this thread when the seconds are over, again and again."""
    if threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer"):
        handler = signal.signal(signal.SIGALRM, _ring)
        left, again = signal.setitimer(signal.ITIMER_REAL, seconds, 0.5)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, left, again)
            signal.signal(signal.SIGALRM, handler)
        return
    raise_in = functools.partial(  # stops loops of Python, where there are no signals
        ctypes.pythonapi.PyThreadState_SetAsyncExc,
        ctypes.c_ulong(threading.get_ident()),
        ctypes.py_object(Overtime),
    )
    timer = threading.Timer(seconds, raise_in)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _ring(number: int, frame: types.FrameType | None) -> None:
    raise Overtime


class SaltedText(str):
    """A text whose hash depends on its salt, as that of every text does on the start of Python."""

    salt: int

    def __new__(cls, text: str, salt: int) -> SaltedText:
        made = super().__new__(cls, text)
        made.salt = salt
        return made

    def __hash__(self) -> int:
        return hash((self.salt, str.__str__(self)))

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other)

    def __deepcopy__(self, memo: dict) -> SaltedText:
        return self

    def strip(self, *args: Any) -> SaltedText:
        return SaltedText(str.strip(self, *args), self.salt)


_OWN_CODES = {
    _ring.__code__,
    *(m.__code__ for m in vars(SaltedText).values() if isinstance(m, types.FunctionType)),
}


# ---- lines of an answer ----


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
        if frame.f_code.co_filename != __file__
    ]
    code = getattr(inspect.unwrap(function), "__code__", None)
    own = {code.co_filename} if code is not None else set()
    mine = [place for place in frames if place.file in own or _is_cell(place.file)]
    return mine or frames[:1]


def _is_cell(file: str) -> bool:
    return file.startswith("<") or "ipykernel_" in file


def _has_more_than_the_raise(function: Any) -> bool:
    """Whether an answer holds statements besides its documentation and the line to delete."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        (written,) = tree.body
        methods = written.body if isinstance(written, ast.ClassDef) else [written]
        body = [node for method in methods for node in getattr(method, "body", [])]
    except (OSError, TypeError, SyntaxError, ValueError):
        code = getattr(function, "__code__", None)
        lines = {line for *_, line in code.co_lines() if line} if code else set()
        return len(lines - {code.co_firstlineno}) > 1 if code else False
    rest = [node for node in body if not isinstance(node, ast.Raise | ast.Pass)]
    texts = [n for n in rest if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)]
    return len(rest) > len(texts)
