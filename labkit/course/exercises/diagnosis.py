"""The surest thing to say about results of which some are wrong."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.outcomes import (
    Adapted,
    Outcome,
    as_value,
    attempt,
    outcome_of,
    readable,
    unsteady,
)
from labkit.course.exercises.results import (
    Tolerance,
    Unreadable,
    agrees,
    difference,
    read_like,
    relation,
)
from labkit.course.exercises.show import call_text, shown
from labkit.course.exercises.values import alike

Mistakes = Mapping[str, Callable[..., Any]]
"""Hint → what an answer with that mistake gives (or raises)."""


Traits = Mapping[str, Callable[..., bool]]
"""Hint → whether a result has a fault: ``(result, expected, *arguments)``."""


_TRIES = 3
"""So many exchanges that change what is right have to leave the result alone."""

_MOST_EXCHANGES = 400


@dataclass(frozen=True)
class Comparison:
    """What an answer gave for all cases, beside what is known to go wrong; see ``compare``."""

    answer: Guarded | Adapted
    right: Callable[..., Any]
    outcomes: list[Outcome]
    tolerance: Tolerance
    mistakes: Mistakes
    traits: Traits
    where: str
    unraised: str

    @functools.cached_property
    def wrong(self) -> list[Outcome]:
        return [o for o in self.outcomes if not self._is(o, o.expected)]

    def diagnosis(self) -> str:
        """The surest thing to say about results of which some are wrong."""
        first = self.wrong[0]
        evidence = self._evidence(first)
        if first.error is None and first.raw is None:
            return evidence
        if isinstance(first.raw, BaseException):
            return f"{self._call(first)} gives an exception back: `raise` it"
        iterator = _read_once(first.raw)
        if iterator is not None and isinstance(first.expected, list | tuple | dict | Tensor):
            return (
                f"{self._call(first)} gives an iterator back ({type(iterator).__name__}), which is "
                "empty once it was read: make a list of it, `list(…)`"
            )
        again = outcome_of(self.answer, first.args, self.right)
        if first.error is None and not self._is(again, as_value(first.raw)):
            return unsteady(self.answer, first, again)
        for hint, mistake in self.mistakes.items():
            if self._explains(mistake):
                return evidence if evidence.startswith(hint) else f"{hint}. {evidence}"
        if first.error is not None or isinstance(first.expected, Exception):
            return evidence
        rule = self._rule(first) if readable(first) else None
        return _sentences(rule, evidence, self.where)

    def _is(self, outcome: Outcome, value: Any) -> bool:
        return outcome.is_(value, self.tolerance)

    def _call(self, outcome: Outcome) -> str:
        return call_text(self.answer.name, outcome.args)

    def _evidence(self, outcome: Outcome) -> str:
        expected = type(outcome.expected).__name__
        if outcome.error is not None:
            if isinstance(outcome.expected, Exception):
                return f"{outcome.error}; {expected} is asked for"
            return str(outcome.error)
        if isinstance(outcome.expected, Exception):
            missing = self.unraised or f"no {expected} where one is asked for"
            return f"{missing}: {self._call(outcome)} gives {shown(outcome.raw)}"
        seen = difference(outcome.raw, outcome.expected, self.tolerance)
        return f"{self._call(outcome)}: {seen}"

    def _explains(self, mistake: Callable) -> bool:
        """Whether a mistake gives what came back, in every case.

        Where it gives no number itself (it divides by zero, say) the answer only has to be wrong
        too.
        """
        agreeing = 0
        for outcome in self.outcomes:
            value = attempt(mistake, outcome.args)
            is_wrong = any(outcome is o for o in self.wrong)
            if self._is(outcome, value):
                agreeing += is_wrong
            elif not (_is_no_number(value) and is_wrong):
                return False
        return agreeing >= min(2, len(self.wrong))

    def _rule(self, first: Outcome) -> str | None:
        return (
            self._no_effect()
            or next((hint for hint, trait in self.traits.items() if _shows(trait, first)), None)
            or self._common_rule()
        )

    def _common_rule(self) -> str | None:
        if any(o.error is not None or isinstance(o.expected, Exception) for o in self.outcomes):
            return None
        return relation([(o.raw, o.expected) for o in self.outcomes], self.tolerance)

    def _no_effect(self) -> str | None:
        """Arguments that change what is right and not what comes back."""
        first = self.wrong[0]
        if isinstance(first.expected, bool):
            return None  # of two values one often stays
        idle = [place for place in range(len(first.args)) if self._is_idle(place)]
        names = ", ".join(f"`{self.answer.parameter(place)}`" for place in idle)
        if not idle:
            return None
        if len(idle) == sum(not callable(arg) for arg in first.args):
            if (earlier := self._earlier(first)) is not None:
                return earlier
            if all(_identical(first, outcome) for outcome in self.outcomes if not outcome.error):
                return f"no argument makes a difference: {names}"
        if any(isinstance(first.args[place], Tensor | np.ndarray) for place in idle):
            return f"the values in {names} make no difference to the result"  # a shape may make one
        return f"{names} makes no difference to the result"

    def _is_idle(self, place: int) -> bool:
        """Whether the result stays the same, to the last digit, wherever the argument of one case
        is put into another; some of these exchanges have to change what is right."""
        tried = 0
        for one, other in itertools.islice(_pairs(self.outcomes), _MOST_EXCHANGES):
            if one.error is not None or not _exchangeable(one.args[place], other.args[place]):
                continue
            args = (*one.args[:place], other.args[place], *one.args[place + 1 :])
            seen = outcome_of(self.answer, args, self.right)
            if isinstance(seen.expected, Exception):
                continue  # no case of this exercise
            if not _identical(one, seen):
                return False
            tried += not agrees(seen.expected, one.expected, self.tolerance)
        return tried >= _TRIES

    def _earlier(self, first: Outcome) -> str | None:
        """Whether a wrong result is the one of a call before."""
        for other in self.outcomes:
            if other is first:
                return None
            if isinstance(other.expected, bool | int | Exception):
                continue
            if agrees(first.raw, other.expected, self.tolerance):
                return (
                    f"this is what {self._call(other)} gives: is something kept from the call "
                    "before, or fixed to one example?"
                )
        return None


def _sentences(*parts: str | None) -> str:
    text = ""
    for part in filter(None, parts):
        text += (" " if text.endswith("?") else ". " if text else "") + part
    return text


def _read_once(raw: Any) -> Iterator | None:
    """A generator, a map, a zip … in what came back: no two of them are equal."""
    if isinstance(raw, Iterator):
        return raw
    if isinstance(raw, dict):
        raw = list(raw.values())
    parts = raw if isinstance(raw, list | tuple) else ()
    return next((found for found in map(_read_once, parts) if found is not None), None)


def _is_no_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return not bool(value.double().isfinite().all())
    if isinstance(value, tuple):
        return any(_is_no_number(part) for part in value)
    return isinstance(value, Exception) or (isinstance(value, float) and not np.isfinite(value))


def _shows(trait: Callable[..., bool], outcome: Outcome) -> bool:
    """Whether a wrong result has a fault that what is expected has not."""
    try:
        value = read_like(outcome.raw, outcome.expected)
    except Unreadable:
        return False
    fault, none = (trait(v, outcome.expected, *outcome.args) for v in (value, outcome.expected))
    return bool(fault and not none)


def _pairs(outcomes: list[Outcome]) -> Iterator[tuple[Outcome, Outcome]]:
    """All pairs of two of them: first each with its neighbour, then with the one behind that."""
    for apart in range(1, len(outcomes)):
        yield from zip(outcomes, outcomes[apart:] + outcomes[:apart], strict=True)


def _identical(one: Outcome, other: Outcome) -> bool:
    """Whether the same came back, without a tolerance."""
    if one.error is not None or other.error is not None:
        return one.error is other.error
    return type(one.raw) is type(other.raw) and alike(one.raw, other.raw)


def _exchangeable(one: Any, other: Any) -> bool:
    if type(one) is not type(other) or callable(one):
        return False
    if isinstance(one, Tensor | np.ndarray):
        return one.shape == other.shape and not bool((one == other).all())
    return not alike(one, other)
