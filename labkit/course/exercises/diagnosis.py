"""The surest thing to say about results of which some are wrong."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
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


def diagnosis(
    answer: Guarded | Adapted, outcomes: list[Outcome], wrong: list[Outcome], right: Callable,
    mistakes: Mistakes | None, traits: Traits | None, where: str, unraised: str, fit: Tolerance,
) -> str:  # fmt: skip
    """The surest thing to say about results of which some are wrong."""
    first = wrong[0]
    evidence = _evidence(answer, first, unraised, fit)
    if first.error is None and first.raw is None:
        return evidence
    if isinstance(first.raw, BaseException):
        return f"{call_text(answer.name, first.args)} gives an exception back: `raise` it"
    again = outcome_of(answer, first.args, right)
    if first.error is None and not again.is_(as_value(first.raw), fit):
        return unsteady(answer, first, again)
    for hint, mistake in (mistakes or {}).items():
        if _explains(mistake, outcomes, wrong, fit):
            return evidence if evidence.startswith(hint) else f"{hint}. {evidence}"
    if first.error is not None or isinstance(first.expected, Exception):
        return evidence
    rule = None
    if readable(first):
        rule = (
            _no_effect(answer, outcomes, wrong, right, fit)
            or next((hint for hint, trait in (traits or {}).items() if _shows(trait, first)), None)
            or _common_rule(outcomes, fit)
        )
    return _sentences(rule, evidence, where)


def _sentences(*parts: str | None) -> str:
    text = ""
    for part in filter(None, parts):
        text += (" " if text.endswith("?") else ". " if text else "") + part
    return text


def _evidence(answer: Guarded, outcome: Outcome, unraised: str, tolerance: Tolerance) -> str:
    call = call_text(answer.name, outcome.args)
    if outcome.error is not None:
        if isinstance(outcome.expected, Exception):
            return f"{outcome.error}; {type(outcome.expected).__name__} is asked for"
        return str(outcome.error)
    if isinstance(outcome.expected, Exception):
        kind = type(outcome.expected).__name__
        return (
            f"{unraised or f'no {kind} where one is asked for'}: {call} gives {shown(outcome.raw)}"
        )
    return f"{call}: {difference(outcome.raw, outcome.expected, tolerance)}"


def _explains(mistake: Callable, outcomes: list, wrong: list, tolerance: Tolerance) -> bool:
    """Whether a mistake gives what came back, in every case.

    Where it gives no number itself (it divides by zero, say) the answer only has to be wrong too.
    """
    agreeing = 0
    for outcome in outcomes:
        value = attempt(mistake, outcome.args)
        if outcome.is_(value, tolerance):
            agreeing += any(outcome is each for each in wrong)
        elif not (_is_no_number(value) and any(outcome is each for each in wrong)):
            return False
    return agreeing >= min(2, len(wrong))


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


def _common_rule(outcomes: list[Outcome], tolerance: Tolerance) -> str | None:
    if any(o.error is not None or isinstance(o.expected, Exception) for o in outcomes):
        return None
    return relation([(o.raw, o.expected) for o in outcomes], tolerance)


def _no_effect(
    answer: Guarded | Adapted, outcomes: list[Outcome], wrong: list[Outcome], right: Callable,
    fit: Tolerance,
) -> str | None:  # fmt: skip
    """Arguments that change what is right and not what comes back."""
    if isinstance(wrong[0].expected, bool):
        return None  # of two values one often stays
    places = range(len(wrong[0].args))
    idle = [i for i in places if _is_idle(answer, i, outcomes, wrong[:3], right, fit)]
    names = ", ".join(f"`{answer.parameter(i)}`" for i in idle)
    if not idle:
        return None
    if len(idle) == sum(not callable(arg) for arg in wrong[0].args):
        return (
            _earlier(answer, outcomes, wrong[0], fit) or f"no argument makes a difference: {names}"
        )
    return f"{names} makes no difference to the result"


_TRIES = 6


def _is_idle(
    answer: Guarded | Adapted, place: int, outcomes: list[Outcome], wrong: list[Outcome],
    right: Callable, fit: Tolerance,
) -> bool:  # fmt: skip
    tried = 0
    for one, other in itertools.product(wrong, outcomes):
        if tried == _TRIES or not _exchangeable(one.args[place], other.args[place]):
            continue
        args = (*one.args[:place], other.args[place], *one.args[place + 1 :])
        expected = attempt(right, args)
        if isinstance(expected, Exception) or agrees(expected, one.expected, fit):
            continue
        if not outcome_of(answer, args, right).is_(as_value(one.raw), fit):
            return False
        tried += 1
    return tried >= _TRIES // 2


def _exchangeable(one: Any, other: Any) -> bool:
    if type(one) is not type(other) or callable(one):
        return False
    if isinstance(one, Tensor | np.ndarray):
        return one.shape == other.shape and not bool((one == other).all())
    return not alike(one, other)


def _earlier(
    answer: Guarded | Adapted, outcomes: list[Outcome], first: Outcome, fit: Tolerance
) -> str | None:
    """Whether a wrong result is the one of a call before."""
    for other in outcomes:
        if other is first:
            return None
        if isinstance(other.expected, bool | int | Exception):
            continue
        if agrees(first.raw, other.expected, fit):
            return (
                f"this is what {call_text(answer.name, other.args)} gives: is something kept from "
                "the call before, or fixed to one example?"
            )
    return None
