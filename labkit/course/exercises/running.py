"""What holds around one call of an answer: silence, seconds, torch's modes, nothing of labkit."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import io
import signal
import threading
import time
import types
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from labkit.course.exercises.draws import SaltedText

PACKAGE = __name__.partition(".")[0]

PATIENCE = 3


class Overtime(BaseException):
    """Not an ``Exception``, so that an answer's own ``except`` lets it through."""


class Watch:
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
def silence() -> Iterator[None]:
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise :class:`Overtime` in this thread when the seconds are over, again and again.

    Where there are signals, seconds of work count: a machine that is busy with other things takes
    longer by the clock, and is given ``PATIENCE`` times as long.
    """
    if threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer"):
        worked, latest = time.thread_time() + seconds, time.monotonic() + PATIENCE * seconds
        ring = functools.partial(_ring, worked, latest)
        handler = signal.signal(signal.SIGALRM, ring)
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


MODES = (
    (
        torch.is_grad_enabled,
        torch.set_grad_enabled,
        "torch.set_grad_enabled",
        "`with torch.no_grad():` ends with its block",
    ),
    (
        torch.get_default_dtype,
        torch.set_default_dtype,
        "torch.set_default_dtype",
        "give `dtype=` where a tensor is made",
    ),
)
"""How each of torch's modes is asked for and set, what sets it, and what to do instead."""


def current_modes() -> tuple:
    return tuple(now() for now, *_ in MODES)


def restore_modes(before: tuple) -> tuple[str, str] | None:
    """Put the modes back; of the first that was another one, what set it and what to do instead."""
    changed = None
    for value, (now, put, call, instead) in zip(before, MODES, strict=True):
        if now() != value:
            put(value)
            changed = changed or (call, instead)
    return changed


def _ring(worked: float, latest: float, number: int, frame: types.FrameType | None) -> None:
    """Ends a call at a processor time of this thread, or else at a time of the clock."""
    if time.thread_time() >= worked or time.monotonic() >= latest:
        raise Overtime


_OWN_CODES = {
    _ring.__code__,
    *(m.__code__ for m in vars(SaltedText).values() if isinstance(m, types.FunctionType)),
}
