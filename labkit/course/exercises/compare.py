"""An answer held against plain code, case by case: :func:`compare`.

A check makes many cases, most of them drawn, and says what is right for each by code of its own
that follows the definition. If the answer is wrong somewhere, the causes it may name are those that
were established: a known mistake that gives the answer's results on *all* cases, a rule that all
results follow, an argument without effect. Otherwise the message shows the first case that differs.
"""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from labkit.course.exercises.guard import CheckFailed, Guarded, OwnError, SaltedText, alike
from labkit.course.exercises.results import (
    FINE,
    Tolerance,
    Unreadable,
    agrees,
    difference,
    read_like,
    relation,
)
from labkit.course.exercises.show import call_text, shown


class Draw:
    """Random inputs that a number repeats; hidden cases are the same kinds from another number."""

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.plain = random.Random(number)
        self._torch = torch.Generator().manual_seed(9_176 + number)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self._torch)

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self._torch)

    def order(self, length: int) -> list[int]:
        return self.plain.sample(range(length), length)

    def whole(self, low: int, high: int) -> int:
        """From ``low`` to ``high``, both included."""
        return self.plain.randint(low, high)

    def choices(self, values: Sequence, count: int) -> list:
        return self.plain.choices(values, k=count)


class Adapted:
    """An answer seen through a function of its calls: ``call(answer, *args)`` gives the result."""

    def __init__(self, answer: Guarded, call: Callable[..., Any]) -> None:
        self.name, self.parameter, self._answer, self._call = (
            answer.name, answer.parameter, answer, call,
        )  # fmt: skip

    def __call__(self, *args: Any) -> Any:
        return self._call(self._answer, *args)


class _Outcome(NamedTuple):
    args: tuple
    expected: Any
    raw: Any = None
    error: OwnError | None = None

    def is_(self, value: Any, tolerance: Tolerance) -> bool:
        """Whether this is what came back; an exception stands for itself."""
        if isinstance(value, Exception):
            return self.error is not None and isinstance(self.error.error, type(value))
        return self.error is None and agrees(self.raw, value, tolerance)


Mistakes = Mapping[str, Callable[..., Any]]
"""Hint → what an answer with that mistake gives (or raises)."""


Traits = Mapping[str, Callable[..., bool]]
"""Hint → whether a result has a fault: ``(result, expected, *arguments)``."""


def compare(
    answer: Guarded | Adapted,
    cases: Sequence[tuple],
    right: Callable[..., Any],
    *,
    mistakes: Mistakes | None = None,
    traits: Traits | None = None,
    where: str = "",
    unraised: str = "",
    tolerance: Tolerance = FINE,
) -> None:
    """Fail unless the answer gives ``right(*case)`` for every case, again and again.

    Args:
        cases: arguments, the simplest first.
        right: raises ``ValueError`` where the answer should.
        mistakes: named where they explain all that is wrong.
        traits: named where they show in the first wrong result.
        where: where to look, for differences without a known cause.
        unraised: what to say where an exception is missing.
    """
    outcomes = [_outcome(answer, case, right) for case in cases]
    wrong = [o for o in outcomes if not o.is_(o.expected, tolerance)]
    if not wrong:
        _refuse_memory(answer, outcomes, tolerance)
        return
    raise CheckFailed(
        _diagnosis(answer, outcomes, wrong, right, mistakes, traits, where, unraised, tolerance)
    )


def _diagnosis(
    answer: Guarded | Adapted, outcomes: list[_Outcome], wrong: list[_Outcome], right: Callable,
    mistakes: Mistakes | None, traits: Traits | None, where: str, unraised: str, fit: Tolerance,
) -> str:  # fmt: skip
    """The surest thing to say about results of which some are wrong."""
    first = wrong[0]
    evidence = _evidence(answer, first, unraised, fit)
    if first.error is None and first.raw is None:
        return evidence
    if isinstance(first.raw, BaseException):
        return f"{call_text(answer.name, first.args)} gives an exception back: `raise` it"
    again = _outcome(answer, first.args, right)
    if first.error is None and not again.is_(_value(first.raw), fit):
        return _unsteady(answer, first, again)
    for hint, mistake in (mistakes or {}).items():
        if _explains(mistake, outcomes, wrong, fit):
            return evidence if evidence.startswith(hint) else f"{hint}. {evidence}"
    if first.error is not None or isinstance(first.expected, Exception):
        return evidence
    rule = None
    if _readable(first):
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


def _readable(outcome: _Outcome) -> bool:
    try:
        read_like(outcome.raw, outcome.expected)
    except Unreadable:
        return False
    return True


def _common_rule(outcomes: list[_Outcome], tolerance: Tolerance) -> str | None:
    if any(o.error is not None or isinstance(o.expected, Exception) for o in outcomes):
        return None
    return relation([(o.raw, o.expected) for o in outcomes], tolerance)


def _earlier(
    answer: Guarded | Adapted, outcomes: list[_Outcome], first: _Outcome, fit: Tolerance
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


def _outcome(answer: Guarded, args: tuple, right: Callable) -> _Outcome:
    expected = _try(right, args)
    try:
        return _Outcome(args, expected, _kept(answer(*args)))
    except OwnError as error:
        return _Outcome(args, expected, error=error)


def _try(function: Callable, args: tuple) -> Any:
    try:
        return function(*args)
    except Exception as error:
        return error


def _explains(mistake: Callable, outcomes: list, wrong: list, tolerance: Tolerance) -> bool:
    """Whether a mistake gives what came back, in every case.

    Where it gives no number itself (it divides by zero, say) the answer only has to be wrong too.
    """
    agreeing = 0
    for outcome in outcomes:
        value = _try(mistake, outcome.args)
        if outcome.is_(value, tolerance):
            agreeing += any(outcome is each for each in wrong)
        elif not (_is_no_number(value) and any(outcome is each for each in wrong)):
            return False
    return agreeing >= min(2, len(wrong))


def _shows(trait: Callable[..., bool], outcome: _Outcome) -> bool:
    """Whether a wrong result has a fault that what is expected has not."""
    try:
        value = read_like(outcome.raw, outcome.expected)
    except Unreadable:
        return False
    fault, none = (trait(v, outcome.expected, *outcome.args) for v in (value, outcome.expected))
    return bool(fault and not none)


def _is_no_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return not bool(value.double().isfinite().all())
    if isinstance(value, tuple):
        return any(_is_no_number(part) for part in value)
    return isinstance(value, Exception) or (isinstance(value, float) and not np.isfinite(value))


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


def _value(raw: Any) -> Any:
    """A result as something to compare another one with."""
    return raw.double() if isinstance(raw, Tensor) else raw


def _evidence(answer: Guarded, outcome: _Outcome, unraised: str, tolerance: Tolerance) -> str:
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


def _unsteady(answer: Guarded, one: _Outcome, other: _Outcome) -> str:
    second = str(other.error) if other.error else shown(other.raw)
    return (
        f"{call_text(answer.name, one.args)} gives {shown(one.raw)} and then {second}: the same "
        "arguments should give the same result; does it draw at random, or keep something from "
        "call to call?"
    )


def _no_effect(
    answer: Guarded | Adapted, outcomes: list[_Outcome], wrong: list[_Outcome], right: Callable,
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


def _is_idle(
    answer: Guarded | Adapted, place: int, outcomes: list[_Outcome], wrong: list[_Outcome],
    right: Callable, fit: Tolerance,
) -> bool:  # fmt: skip
    tried = 0
    for one, other in itertools.product(wrong, outcomes):
        if tried == _TRIES or not _exchangeable(one.args[place], other.args[place]):
            continue
        args = (*one.args[:place], other.args[place], *one.args[place + 1 :])
        expected = _try(right, args)
        if isinstance(expected, Exception) or agrees(expected, one.expected, fit):
            continue
        if not _outcome(answer, args, right).is_(_value(one.raw), fit):
            return False
        tried += 1
    return tried >= _TRIES // 2


_TRIES = 6


def _exchangeable(one: Any, other: Any) -> bool:
    if type(one) is not type(other) or callable(one):
        return False
    if isinstance(one, Tensor | np.ndarray):
        return one.shape == other.shape and not bool((one == other).all())
    return not alike(one, other)


# ---- memory ----

_REPEATED = 5


def _refuse_memory(answer: Guarded, outcomes: list[_Outcome], tolerance: Tolerance) -> None:
    """Calls in another order, with the same objects, and after the last result was written to."""
    for outcome in outcomes[::-1][:_REPEATED]:
        again = _outcome(answer, outcome.args, lambda *_: None)
        if not again.is_(outcome.expected, tolerance):
            raise CheckFailed(_unsteady(answer, outcome, again))
    _refuse_shared_results(answer, outcomes, tolerance)
    _refuse_memory_of_objects(answer, outcomes, tolerance)


def _refuse_shared_results(answer: Guarded, outcomes: list[_Outcome], fit: Tolerance) -> None:
    for outcome in outcomes[:2]:
        if outcome.error is not None:
            continue
        args = copied(outcome.args)
        _write_to(answer(*args))
        again = _outcome(answer, copied(outcome.args), lambda *_: None)
        if not again.is_(outcome.expected, fit):
            raise CheckFailed(
                f"whoever writes to a result of {answer.name} changes the next one: the same "
                "object comes back each time; make a new one for each call"
            )


def _write_to(result: Any) -> None:
    if isinstance(result, Tensor):
        result.data.zero_() if result.dtype != torch.bool else result.logical_not_()
    elif isinstance(result, np.ndarray) and result.flags.writeable:
        result[...] = 0
    elif isinstance(result, list):
        result.clear()
    elif isinstance(result, tuple):
        for part in result:
            _write_to(part)


def _refuse_memory_of_objects(answer: Guarded, outcomes: list[_Outcome], fit: Tolerance) -> None:
    """An answer may not know an argument again by its being the same object."""
    fine = [o for o in outcomes if o.error is None]
    for one in fine:
        for other in fine:
            args = copied(one.args)
            if agrees(one.expected, other.expected, fit) or not _writable_like(args, other.args):
                continue
            answer(*args)
            for mine, new in zip(args, other.args, strict=True):
                _overwrite(mine, new)
            seen = _outcome(answer, args, lambda *_: None)
            if not seen.is_(other.expected, fit):
                raise CheckFailed(
                    f"{answer.name} keeps results from call to call: after the values in its "
                    "arguments changed, it still gives the old one"
                )
            return


def copied(args: tuple) -> tuple:
    """Arguments that can be written to; what they hold for gradients stays a leaf."""
    return tuple(
        arg.detach().clone().requires_grad_(arg.requires_grad)
        if isinstance(arg, Tensor)
        else copy.deepcopy(arg)
        if isinstance(arg, list | dict | np.ndarray)
        else arg
        for arg in args
    )


def _writable_like(args: tuple, others: tuple) -> bool:
    some = False
    for mine, new in zip(args, others, strict=True):
        if isinstance(mine, Tensor | np.ndarray):
            if type(mine) is not type(new) or mine.shape != new.shape:
                return False
            some = True
        elif isinstance(mine, list):
            some = some or not alike(mine, new)
        elif callable(mine) or not alike(mine, new):
            return False
    return some


def _overwrite(mine: Any, new: Any) -> None:
    if isinstance(mine, Tensor):
        mine.data.copy_(new)
    elif isinstance(mine, np.ndarray):
        mine[...] = new
    elif isinstance(mine, list):
        mine[:] = copy.deepcopy(new)


# ---- for checks that look at properties ----


def under_other_hashes(answer: Guarded, make_args: Callable[[Callable[[str], str]], tuple]) -> list:
    """Results for texts that hash as after two other starts of Python.

    Empty where an answer looks texts up by copies of its own, which hash as always.

    Args:
        make_args: the arguments, with each text passed through the function that it gets.
    """
    results = []
    for salt in (1, 2):
        args = make_args(lambda text, salt=salt: SaltedText(text, salt))
        try:
            results.append(answer(*args))
        except OwnError:
            return []
    return results


def read_result(answer: Guarded, args: tuple, like: Any, may_change: Sequence[int] = ()) -> Any:
    """The answer's result for the arguments, as the kind of ``like``."""
    raw = answer(*args, may_change=may_change)
    try:
        return read_like(raw, like)
    except Unreadable as error:
        raise CheckFailed(f"{call_text(answer.name, args)}: {error}") from None


def require(condition: bool, message: str) -> None:
    """Fail with the message unless the condition holds."""
    if not condition:
        raise CheckFailed(message)


def arrives(
    answer: Guarded,
    args: tuple,
    place: int,
    right: Callable[..., Tensor],
    draw: Draw,
    pick: Callable[[Any], Tensor] = lambda result: result,
) -> None:
    """Fail unless the gradient of the result with respect to an argument is the true one.

    It is compared along random directions with differences of ``right`` in double precision.

    Args:
        place: of the argument, a tensor that gets its gradient.
        pick: takes the tensor out of the answer's result.
    """
    name = answer.parameter(place)
    leaf = args[place].detach().clone().requires_grad_()
    args = (*args[:place], leaf, *args[place + 1 :])
    result = pick(answer(*args))
    cut = f"no gradient reaches `{name}`"
    require(isinstance(result, Tensor), f"{cut}: the result is {shown(result)}, not a tensor")
    require(result.requires_grad, f"{cut}: detach(), .data, tolist(), NumPy and new tensors cut it")
    towards = draw.normal(*result.shape).to(result.dtype)
    (gradient,) = torch.autograd.grad((result * towards).sum(), leaf, allow_unused=True)
    require(
        gradient is not None,
        f"{cut}: the result has a gradient of its own, which does not lead back to it "
        "(requires_grad on a new tensor, or on another part alone)",
    )
    exact = tuple(a.detach().double() if _is_real(a) else a for a in args)
    for _ in range(3):
        way = draw.normal(*leaf.shape).double()
        ends = []
        for step in (1e-5, -1e-5):
            moved = (*exact[:place], exact[place] + step * way, *exact[place + 1 :])
            ends.append(float((right(*moved) * towards.double()).sum()))
        slope, seen = (ends[0] - ends[1]) / 2e-5, float((gradient.double() * way).sum())
        close = abs(slope - seen) <= 2e-3 * (1 + abs(slope))
        require(
            close,
            f"the gradient that reaches `{name}` is another one than that of the result: along one "
            f"direction {seen:.4f}, by differences {slope:.4f}",
        )


def _is_real(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()
