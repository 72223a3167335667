"""What every check of an exercise does beside checking: see :func:`exercise`.

A check is a function ``check_NAME(answer, draw, …)`` that raises
:class:`~labkit.course.exercises.guard.CheckFailed` with a hint, or returns what it found to hold.
The decorator calls it with the answer under guard (:mod:`labkit.course.exercises.guard`) and with
a source of random cases, prints the one line of a check that passes, and remembers the answer, so
that later cells can ask for it by name (:func:`labkit.course.exercises.stand_ins.solved`).
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from labkit.course.exercises.draws import Draw, generators_kept
from labkit.course.exercises.guard import CheckFailed, Guarded
from labkit.course.language import in_language

passed: dict[str, Callable] = {}
"""``NAME`` of each ``check_NAME`` → the answer that passed it; a later failure takes it out."""


def exercise(check: Callable | None = None, *, overtime: str = "") -> Callable:
    """Decorate ``check_NAME(answer, draw, …)``, which becomes ``check_NAME(answer, …, draw=0)``.

    Args:
        overtime: what to say to an answer that does not end.
    """
    if check is None:
        return functools.partial(exercise, overtime=overtime)
    name = check.__name__.removeprefix("check_")

    @functools.wraps(check)
    def examined(answer: Any, *given: Any, draw: int = 0) -> None:
        """Cases of another ``draw`` are the hidden ones; they print nothing."""
        passed.pop(name, None)
        try:
            holds = _examine(check, Guarded(answer, name, overtime), given, draw)
        except CheckFailed as failed:
            message = str(failed)
        else:
            passed[name] = answer
            if not draw:
                print(in_language(f"✓ {holds} (public cases)"))
            return
        hidden = f"other cases of the same kind: {message}"
        raise CheckFailed(in_language(hidden if draw else message))

    def examine_library(answer: Callable, *given: Any, draw: int = 0) -> None:
        """The same for one of labkit's own functions."""
        _examine(check, Guarded(answer, name, may_use_labkit=True), given, draw)

    examined.of_library = examine_library
    return examined


def _examine(check: Callable, answer: Guarded, given: tuple, draw: int) -> str:
    with generators_kept(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return check(answer, Draw(draw), *given)
        except CheckFailed:
            raise
        except Exception as error:  # what came back is stranger than the check foresees
            raise CheckFailed(
                f"what {answer.name} gives back can't be read ({type(error).__name__}: {error}): "
                "look at its type and shape"
            ) from error
