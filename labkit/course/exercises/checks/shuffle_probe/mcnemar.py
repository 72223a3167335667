"""Exercise 4.3: the check of ``mcnemar``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import Tolerance


def _discordant(a: Sequence, b: Sequence) -> tuple[int, int]:
    pairs = [(bool(x), bool(y)) for x, y in zip(a, b, strict=True)]
    return pairs.count((True, False)), pairs.count((False, True))


def _exact(a: Sequence, b: Sequence) -> float:
    first, second = _discordant(a, b)
    n = first + second
    tail = sum(math.comb(n, k) for k in range(min(first, second) + 1))
    return min(1.0, 2 * tail / 2**n)


def _results(first: int, second: int, both: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    a = [1] * first + [0] * second + [1] * both + [0] * neither
    b = [0] * first + [1] * second + [1] * both + [0] * neither
    return np.array(a, dtype=bool), np.array(b, dtype=bool)


@exercise
def check_mcnemar(mcnemar: Guarded, draw: Draw) -> str:
    """``mcnemar``: right or wrong (N,) twice → exact two-sided p-value."""
    counts = [(9, 1, 40, 10), (1, 9, 40, 10), (6, 0, 3, 2), (0, 6, 3, 2), (4, 4, 5, 5),
              (0, 0, 5, 3), (7, 2, 0, 0), (1, 1, 0, 0), (3, 8, 400, 10), (30, 12, 9, 9),
              (320, 290, 5, 9), (0, 1, 2, 2), (5, 6, 1, 0)]  # fmt: skip
    arrays = [_results(*cells) for cells in counts]
    for _ in range(4):
        size = draw.whole(5, 60)
        arrays.append(tuple(np.array(draw.uniform(size) < share) for share in (0.7, 0.5)))
    mixed = draw.order(60)
    arrays[0] = tuple(part[mixed] for part in arrays[0])
    cases: list[tuple] = list(arrays)
    cases += [tuple(part.astype(int).tolist() for part in pair) for pair in arrays[:4]]
    cases += [tuple(part.tolist() for part in pair) for pair in arrays[5:8]]
    cases += [tuple(part.astype(np.int64) for part in pair) for pair in arrays[2:4]]

    def from_counts(formula) -> Any:
        return lambda a, b: float(formula(*_discordant(a, b)))

    def one_tail(b, c):
        return stats.binom.cdf(min(b, c), b + c, 0.5)

    def chi(b, c, less=0):
        return stats.chi2.sf(max(abs(b - c) - less, 0) ** 2 / (b + c), 1) if b + c else 1.0

    def mid(b, c):
        if b + c == 0:
            return 1.0
        return min(1, 2 * one_tail(b, c) - stats.binom.pmf(min(b, c), b + c, 0.5))

    def over_all(a, b):
        first, second = int(np.sum(a)), int(np.sum(b))
        if first + second == 0:
            return 1.0
        return float(stats.binomtest(first, first + second, 0.5).pvalue)

    def among_all(a, b):
        first, second = _discordant(a, b)
        return min(1.0, 2 * float(stats.binom.cdf(min(first, second), len(a), 0.5)))

    compare(
        mcnemar,
        cases,
        _exact,
        tolerance=Tolerance(1e-7, 1e-12),
        mistakes={
            "this is one tail: an order may be better or worse, so both count (twice as much)": (
                from_counts(one_tail)
            ),
            "this is one tail, up to n_a (the first order's): take the smaller of n_a and n_b, "
            "twice": (from_counts(lambda b, c: stats.binom.cdf(b, b + c, 0.5))),
            "this is one tail, up to n_b (the second order's): take the smaller of n_a and n_b, "
            "twice": (from_counts(lambda b, c: stats.binom.cdf(c, b + c, 0.5))),
            "the result depends on who comes first: take the smaller of n_a and n_b": (
                from_counts(lambda b, c: min(1, 2 * stats.binom.cdf(b, b + c, 0.5)))
            ),
            "the result depends on who comes first (up to n_b): take the smaller of n_a and n_b": (
                from_counts(lambda b, c: min(1, 2 * stats.binom.cdf(c, b + c, 0.5)))
            ),
            "the sum goes up to the larger of n_a and n_b: take the smaller": (
                from_counts(lambda b, c: min(1, 2 * stats.binom.cdf(max(b, c), b + c, 0.5)))
            ),
            "the sum stops one too early: k runs up to the smaller of n_a and n_b, with it": (
                from_counts(lambda b, c: min(1, 2 * stats.binom.cdf(min(b, c) - 1, b + c, 0.5)))
            ),
            "this is the chance of exactly that many: sum up to it": (
                from_counts(lambda b, c: min(1, 2 * stats.binom.pmf(min(b, c), b + c, 0.5)))
            ),
            "above 1: the probability is never above it, take the smaller of 1 and the sum": (
                from_counts(lambda b, c: 2 * one_tail(b, c))
            ),
            "above 1 where no sentence differs or both differ as often: never above it": (
                from_counts(lambda b, c: 2 * one_tail(b, c) if b + c else 1.0)
            ),
            "where no sentence differs p is 1": (
                from_counts(lambda b, c: min(1.0, 2 * one_tail(b, c)) if b + c else 0.0)
            ),
            "where no sentence differs p is 1, not nan": (
                from_counts(lambda b, c: min(1.0, 2 * one_tail(b, c)) if b + c else math.nan)
            ),
            "this is the chi-square approximation; with few discordant examples it is off: count "
            "the binomial exactly": from_counts(chi),
            "this is the chi-square approximation, corrected for continuity; count the binomial "
            "exactly": from_counts(lambda b, c: chi(b, c, 1)),
            "this is the mid-p value: the formula above has the whole last term": from_counts(mid),
            "all right answers are compared: examples that both get right say nothing; count only "
            "those that exactly one gets right": over_all,
            "all N sentences are tossed: only the n_a + n_b that exactly one gets right count": (
                among_all
            ),
            "sentences on which the two agree are counted: only those that one alone gets right": (
                lambda a, b: float(
                    stats.binomtest(
                        sum(bool(x) == bool(y) for x, y in zip(a, b, strict=True)), len(a)
                    ).pvalue
                )
            ),
            "this is a paired t test: count the binomial exactly": lambda a, b: float(
                stats.ttest_rel(np.asarray(a, float), np.asarray(b, float)).pvalue
            ),
            "this is 1 minus the p-value": lambda a, b: 1 - _exact(a, b),
        },
        where="n_a and n_b count the sentences that only one order gets right; p is twice the sum "
        "of the binomial's terms up to the smaller, at most 1",
    )
    return "McNemar: discordant examples only, exact, two-sided"
