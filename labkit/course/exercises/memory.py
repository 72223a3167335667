"""Whether an answer keeps something from call to call."""

from __future__ import annotations

import itertools

from labkit.course.exercises.guard import CheckFailed, Guarded
from labkit.course.exercises.outcomes import Outcome, outcome_of, unsteady
from labkit.course.exercises.results import Tolerance, agrees
from labkit.course.exercises.values import copied, overwrite, writable_like, write_to

_REPEATED = 5


def refuse_memory(answer: Guarded, outcomes: list[Outcome], tolerance: Tolerance) -> None:
    """Calls in another order, with the same objects, and after the last result was written to.

    Raises:
        CheckFailed: where a result is another than before, with the cause that was seen.
    """
    for outcome in outcomes[::-1][:_REPEATED]:
        again = outcome_of(answer, outcome.args, lambda *_: None)
        if not again.is_(outcome.expected, tolerance):
            raise CheckFailed(unsteady(answer, outcome, again))
    # first what keeps its objects alive: copies that are gone leave their ids to the next ones
    _refuse_memory_of_objects(answer, outcomes, tolerance)
    _refuse_shared_results(answer, outcomes, tolerance)


def _refuse_shared_results(answer: Guarded, outcomes: list[Outcome], fit: Tolerance) -> None:
    for outcome in outcomes[:2]:
        if outcome.error is not None:
            continue
        written = answer(*copied(outcome.args))
        write_to(written)
        again = outcome_of(answer, copied(outcome.args), lambda *_: None)
        if again.is_(outcome.expected, fit):
            continue
        if not again.is_(written, fit):  # changed, and not by the writing
            raise CheckFailed(unsteady(answer, outcome, again))
        raise CheckFailed(
            f"whoever writes to a result of {answer.name} changes the next one: the same "
            "object comes back each time; make a new one for each call"
        )


def _refuse_memory_of_objects(answer: Guarded, outcomes: list[Outcome], fit: Tolerance) -> None:
    """An answer may not know an argument again by its being the same object.

    Each case is written over with two others: what is kept may belong to one argument of several,
    and be the same for many of its values.
    """
    fine = [o for o in outcomes if o.error is None]
    for one in fine:
        others = (o for o in fine if not agrees(one.expected, o.expected, fit))
        for other in itertools.islice((o for o in others if writable_like(one.args, o.args)), 2):
            _refuse_the_old_result(answer, one, other, fit)


def _refuse_the_old_result(answer: Guarded, one: Outcome, other: Outcome, fit: Tolerance) -> None:
    args = copied(one.args)
    answer(*args)
    for mine, new in zip(args, other.args, strict=True):
        overwrite(mine, new)
    seen = outcome_of(answer, args, lambda *_: None)
    if not seen.is_(other.expected, fit):
        raise CheckFailed(
            f"{answer.name} keeps results from call to call: after the values in its "
            "arguments changed, it still gives the old one"
        )
