"""An answer held against plain code, case by case: :func:`compare`.

A check makes many cases, most of them drawn, and says what is right for each by code of its own
that follows the definition. If the answer is wrong somewhere, the causes it may name are those that
were established: a known mistake that gives the answer's results on *all* cases, a rule that all
results follow, an argument without effect. Otherwise the message shows the first case that differs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.course.exercises.diagnosis import Comparison, Mistakes, Traits
from labkit.course.exercises.draws import Draw, SaltedText
from labkit.course.exercises.guard import CheckFailed, Guarded, OwnError
from labkit.course.exercises.memory import refuse_memory
from labkit.course.exercises.outcomes import Adapted, outcome_of
from labkit.course.exercises.results import FINE, Tolerance, Unreadable, read_like
from labkit.course.exercises.show import call_text, shown
from labkit.course.exercises.values import copied, is_as, snapshot, write_to


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
    outcomes = [outcome_of(answer, case, right) for case in cases]
    seen = Comparison(
        answer, right, outcomes, tolerance, mistakes or {}, traits or {}, where, unraised
    )
    if seen.wrong:
        raise CheckFailed(seen.diagnosis())
    refuse_memory(answer, outcomes, tolerance)


def require(condition: bool, message: str) -> None:
    """Fail with the message unless the condition holds."""
    if not condition:
        raise CheckFailed(message)


def read_result(answer: Guarded, args: tuple, like: Any, may_change: Sequence[int] = ()) -> Any:
    """The answer's result for the arguments, as the kind of ``like``."""
    raw = answer(*args, may_change=may_change)
    try:
        return read_like(raw, like)
    except Unreadable as error:
        raise CheckFailed(f"{call_text(answer.name, args)}: {error}") from None


def refuse_views(answer: Guarded, args: tuple, message: str) -> None:
    """Fail if whoever writes to the result writes to an argument as well."""
    args = copied(args)
    before = snapshot(args)
    write_to(answer(*args))
    require(is_as(before, args), message)


def refuse_other_type(mask: Any, given: Tensor) -> None:
    """Fail unless a mask is of the type of the one that it was made from."""
    back = mask if isinstance(mask, Tensor) else torch.as_tensor(np.asarray(mask))
    came, comes = (str(tensor.dtype).removeprefix("torch.") for tensor in (given, back))
    require(
        came == comes,
        f"the mask came as {came} and comes back as {comes}: it keeps its type, which the ones in "
        "front get from `mask.new_ones` or `dtype=mask.dtype`",
    )


SALTS = range(16)


def under_other_hashes(answer: Guarded, make_args: Callable[[Callable[[str], str]], tuple]) -> list:
    """Results for texts that hash as after other starts of Python.

    A set of a few texts comes in the same order after many of them: one or two would miss it.

    Empty where an answer looks texts up by copies of its own, which hash as always.

    Args:
        make_args: the arguments, with each text passed through the function that it gets.
    """
    results = []
    for salt in SALTS:
        args = make_args(lambda text, salt=salt: SaltedText(text, salt))
        try:
            results.append(answer(*args))
        except OwnError:
            return []
    return results


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
