"""What an answer makes of a case, beside what is right for it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from labkit.course.exercises.guard import Guarded, OwnError
from labkit.course.exercises.results import Tolerance, Unreadable, agrees, read_like
from labkit.course.exercises.show import call_text, shown


class Adapted:
    """An answer seen through a function of its calls: ``call(answer, *args)`` gives the result."""

    def __init__(self, answer: Guarded, call: Callable[..., Any]) -> None:
        self.name, self.parameter, self._answer, self._call = (
            answer.name, answer.parameter, answer, call,
        )  # fmt: skip

    def __call__(self, *args: Any) -> Any:
        return self._call(self._answer, *args)


class Outcome(NamedTuple):
    args: tuple
    expected: Any
    raw: Any = None
    error: OwnError | None = None

    def is_(self, value: Any, tolerance: Tolerance) -> bool:
        """Whether this is what came back; an exception stands for itself."""
        if isinstance(value, Exception):
            return self.error is not None and isinstance(self.error.error, type(value))
        return self.error is None and agrees(self.raw, value, tolerance)


def outcome_of(answer: Guarded, args: tuple, right: Callable) -> Outcome:
    expected = attempt(right, args)
    try:
        return Outcome(args, expected, _kept(answer(*args)))
    except OwnError as error:
        return Outcome(args, expected, error=error)


def attempt(function: Callable, args: tuple) -> Any:
    try:
        return function(*args)
    except Exception as error:
        return error


def _kept(raw: Any) -> Any:
    """A result as it is now, whatever the answer does to it later."""
    if isinstance(raw, Tensor):
        return raw.detach().clone()
    if isinstance(raw, list | tuple) and any(isinstance(item, Tensor) for item in raw):
        return type(raw)([_kept(item) for item in raw]) if type(raw) in (list, tuple) else raw
    try:
        return copy.deepcopy(raw)
    except Exception:  # a generator, an open file: told apart by its type later
        return raw


def as_value(raw: Any) -> Any:
    """A result as something to compare another one with."""
    if isinstance(raw, np.ndarray):
        return raw.tolist()
    return raw.double() if isinstance(raw, Tensor) else raw


def readable(outcome: Outcome) -> bool:
    try:
        read_like(outcome.raw, outcome.expected)
    except Unreadable:
        return False
    return True


def unsteady(answer: Guarded, one: Outcome, other: Outcome) -> str:
    second = str(other.error) if other.error else shown(other.raw)
    return (
        f"{call_text(answer.name, one.args)} gives {shown(one.raw)} and then {second}: the same "
        "arguments should give the same result; does it draw at random, or keep something from "
        "call to call?"
    )
