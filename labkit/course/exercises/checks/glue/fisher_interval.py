"""Exercise 7.2: the check of ``fisher_interval``."""

from __future__ import annotations

import math
from typing import Any

from scipy import stats

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import Tolerance


def _fisher(
    r: float, n: int, z: float = 1.959964, less: int = 3, root: bool = True
) -> tuple[float, float]:
    half = z / (math.sqrt(n - less) if root else n - less)
    middle = 0.5 * math.log((1 + r) / (1 - r))
    return math.tanh(middle - half), math.tanh(middle + half)


@exercise
def check_fisher_interval(interval: Guarded, draw: Draw) -> str:
    """``interval``: correlation r, number of pairs n → 95 % interval."""
    cases = [(0.6, 103), (-0.6, 103), (0.0, 4), (0.99, 50), (0.3, 12), (-0.9, 6), (0.0, 1000)]
    cases += [(round(draw.plain.uniform(-0.95, 0.95), 2), draw.whole(5, 400)) for _ in range(6)]

    def wrong(**kinds: Any):
        return lambda r, n: _fisher(r, n, **kinds)

    def in_atanh(r, n):
        middle, half = math.atanh(r), 1.959964 / math.sqrt(n - 3)
        return middle - half, middle + half

    def symmetric(r, n):
        half = 1.959964 / math.sqrt(n - 3)
        return r - half, r + half

    def normal(r, n):
        half = 1.959964 * (1 - r * r) / math.sqrt(n - 1)
        return r - half, r + half

    def of_r(r, n):
        half = 1.959964 * math.sqrt((1 - r * r) / (n - 2))
        return r - half, r + half

    def upper(r, n):
        half = _fisher(r, n)[1] - r
        return r - half, r + half

    def student(r, n):
        return _fisher(r, n, z=float(stats.t.ppf(0.975, max(n - 2, 1))))

    compare(
        interval,
        cases,
        _fisher,
        tolerance=Tolerance(0, 2e-4),
        mistakes={
            "the low end comes first": lambda r, n: _fisher(r, n)[::-1],
            "as wide above r as below it: the interval is symmetric in atanh(r), and has to be "
            "turned back with tanh": symmetric,
            "as wide above r as below it (with the variance of r itself): the interval is "
            "symmetric in atanh(r)": normal,
            "as wide above r as below it (with the error of r itself): the interval is symmetric "
            "in atanh(r)": of_r,
            "as wide below r as above it: each end is turned back with tanh by itself": upper,
            "these are the ends in atanh(r): turn them back with tanh": in_atanh,
            "r goes in as it is: atanh(r) first, then the errors, then tanh": (
                lambda r, n: (
                    math.tanh(r - 1.959964 / math.sqrt(n - 3)),
                    math.tanh(r + 1.959964 / math.sqrt(n - 3)),
                )
            ),
            "the standard error is 1/√(n − 3), not 1/√n": wrong(less=0),
            "the standard error is 1/√(n − 3), not 1/√(n − 1)": wrong(less=1),
            "the standard error is 1/√(n − 3), not 1/√(n − 2)": wrong(less=2),
            "the standard error is 1/√(n − 3): the root is missing": wrong(root=False),
            "one standard error each way holds 68 %: 95 % takes 1.96 of them": wrong(z=1.0),
            "this is a 90 % interval: 95 % takes 1.96 standard errors, ppf(0.975)": (
                wrong(z=1.644854)
            ),
            "this is a 99 % interval: 95 % takes 1.96 standard errors": wrong(z=2.575829),
            "95 % takes 1.96 standard errors, not 2": wrong(z=2.0),
            "this is half of the width: 1.96 standard errors to each side": wrong(z=1.959964 / 2),
            "this is twice the width: 1.96 standard errors to each side": wrong(z=2 * 1.959964),
            "Student's t is for means; Fisher's z is nearly normal: 1.96": student,
            "tanh and atanh are exchanged": lambda r, n: tuple(
                math.atanh(max(-0.999999, min(0.999999, math.tanh(r) + s * 1.959964
                                              / math.sqrt(n - 3)))) for s in (-1, 1)
            ),
            "the sign of r is lost": lambda r, n: _fisher(abs(r), n),
        },
        traits={
            "as wide above r as below it: the interval is symmetric in atanh(r), and has to be "
            "turned back with tanh": lambda got, right, r, n: (
                abs(got[0] + got[1] - 2 * r) < 1e-6
            ),
            "the first value, the low end, lies above the second": (
                lambda got, right, r, n: got[0] > got[1]
            ),
            "r itself lies outside of it": lambda got, right, r, n: not got[0] <= r <= got[1],
        },
        where="tanh(atanh(r) ± 1.96 / √(n − 3)), the low end first",
    )  # fmt: skip
    return "Fisher's interval: symmetric in atanh(r), inside −1 … 1"
