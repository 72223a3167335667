"""Exercise 7.6: the check of ``possible``."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded


def _rounds_to(printed: float, n: int) -> bool:
    tenth = Fraction(round(10 * printed), 10)
    if abs(float(tenth) - printed) > 1e-9:
        return False
    return any(abs(Fraction(100 * k, n) - tenth) <= Fraction(1, 20) for k in range(n + 1))


@exercise
def check_possible(possible: Guarded, draw: Draw) -> str:
    """``possible``: a printed per cent with one decimal, n → whether some k of n prints as it."""
    cases = [(54.9, 277), (54.7, 277), (88.2, 1000), (100.0, 7), (0.0, 7), (0.1, 7), (99.9, 7)]
    cases += [(33.3, 3), (66.7, 3), (66.6, 3), (33.4, 3), (100.0, 1), (50.0, 1), (14.3, 7)]
    cases += [(28.6, 7), (28.5, 7), (0.4, 277), (100.1, 1000), (100.1, 613)]
    for n in (277, 277, 277, 13, 301, 77, 9, 613, 907):
        k = draw.whole(0, n)
        exact = 100 * k / n
        near = round(exact + 1e-9, 1)
        cases += [(near, n), (math.floor(10 * exact) / 10, n), (math.ceil(10 * exact) / 10, n)]
        cases += [(round(near + 0.1, 1), n), (round(near - 0.1, 1), n)]
        cases.append((draw.whole(0, 1000) / 10, n))

    def any_k(rule: Callable[[float, float], bool], ks: Callable = lambda n: range(n + 1)):
        return lambda p, n: any(rule(100 * k / n, p) for k in ks(n))

    def rounded(x: float, p: float) -> bool:
        return abs(x - p) <= 0.05 + 1e-9

    compare(
        possible,
        cases,
        _rounds_to,
        mistakes={
            "everything is possible: with n = 277 most tenths are nobody's k/277": (
                lambda p, n: True
            ),
            "nothing is possible": lambda p, n: False,
            "scores that are cut instead of rounded count too: only rounded ones": (
                any_k(lambda x, p: rounded(x, p) or abs(math.floor(10 * x) / 10 - p) < 1e-9)
            ),
            "this is cut, not rounded, to one decimal": (
                any_k(lambda x, p: abs(math.floor(10 * x + 1e-9) / 10 - p) < 1e-9)
            ),
            "this is rounded up to one decimal: to the nearest": (
                any_k(lambda x, p: abs(math.ceil(10 * x - 1e-9) / 10 - p) < 1e-9)
            ),
            "the fractions themselves are compared: compare after rounding, a printed number has "
            "one decimal": any_k(lambda x, p: abs(x - p) < 1e-6),
            "only the count next below is tried: any k may print as the number": (
                lambda p, n: rounded(100 * math.floor(p * n / 100) / n, p)
            ),
            "only whole per cents are compared: one decimal": (
                any_k(lambda x, p: round(x) == round(p))
            ),
            "none right is possible too: k begins at 0": any_k(rounded, lambda n: range(1, n + 1)),
            "all right is possible too: k goes up to n, with it": (
                any_k(rounded, lambda n: range(n))
            ),
            "neither none nor all right is tried: k goes from 0 to n": (
                any_k(rounded, lambda n: range(1, n))
            ),
            "more than all right is possible too: k ends at n": (
                lambda p, n: rounded(100 * round(p * n / 100) / n, p)
            ),
            "the share is not in per cent: 100 · k / n": (
                lambda p, n: any(rounded(k / n, p) for k in range(n + 1))
            ),
            "two decimals are compared: one": any_k(lambda x, p: round(x, 2) == round(p, 2)),
            "it is turned round: True where some k prints as the number": (
                lambda p, n: not _rounds_to(p, n)
            ),
            "floats that print the same need not be equal: allow for a tiny difference": (
                any_k(lambda x, p: np.floor(x * 10 + 0.5) / 10 == p)
            ),
        },
        traits={
            "a number was called possible that no k of n is rounded to; what lies further away "
            "than 0.05 is not": lambda got, right, p, n: got and not right,
            "a number was called impossible that some k of n is rounded to": (
                lambda got, right, *_: right and not got
            ),
        },
        where="True if 100 · k / n, rounded to one decimal, is the number, for some k from 0 to n",
    )
    return "possible scores: those that some k of n rounds to"
