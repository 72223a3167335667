"""Exercise 9.1: the check of ``few_shot_gain``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import Tolerance

Z = 1.959964


def _gain(
    better: np.ndarray,
    worse: np.ndarray,
    variance: Callable[[np.ndarray], float] | None = None,
    z: float = Z,
) -> tuple[float, float, float]:
    difference = np.asarray(better, dtype=float) - np.asarray(worse, dtype=float)
    half = z * math.sqrt((variance or _both)(difference))
    middle = float(difference.mean())
    return middle, middle - half, middle + half


def _both(difference: np.ndarray, less: int = 1) -> float:
    return _of_draws(difference, less) + _of_sentences(difference, less)


def _of_draws(difference: np.ndarray, less: int = 1) -> float:
    return float(difference.mean(1).var(ddof=less) / len(difference))


def _of_sentences(difference: np.ndarray, less: int = 1) -> float:
    return float(difference.mean(0).var(ddof=less) / difference.shape[1])


def _cases(draw: Draw) -> list[tuple[np.ndarray, np.ndarray]]:
    """Right or wrong under two methods: some sentences are hard for both, some draws worse."""
    first = np.array([[1, 1, 0, 1], [1, 0, 1, 1], [1, 1, 1, 1]]) > 0
    cases = [(first, np.array([[1, 0, 0, 1], [0, 0, 1, 1], [1, 1, 0, 1]]) > 0)]
    for draws, sentences in ((3, 40), (2, 7), (5, 5), (4, 30), (3, 300), (8, 3)):
        easy, luck = draw.uniform(sentences), draw.uniform(draws, 1)
        pair = [draw.uniform(draws, sentences) < 0.5 * (easy + luck) + extra for extra in (0.2, 0)]
        cases.append(tuple(correct.numpy() for correct in pair))
    cases += [(worse, better) for better, worse in cases[1:3]]
    return cases


@exercise
def check_few_shot_gain(gain: Guarded, draw: Draw) -> str:
    """``gain``: right or wrong (R, N) of two methods → mean difference and its 95 % interval."""

    def wrong(variance: Callable[[np.ndarray], float] | None = None, **kinds: Any):
        return lambda a, b: _gain(a, b, variance, **kinds)

    def unpaired(a, b):
        a, b = a.astype(float), b.astype(float)
        return _gain(a, b, lambda _: _both(a) + _both(b))

    def rearranged(change: Callable[[float, float, float], tuple]):
        return lambda a, b: change(*_gain(a, b))

    draws_alone, sentences_alone = wrong(_of_draws), wrong(_of_sentences)
    compare(
        gain,
        _cases(draw),
        _gain,
        tolerance=Tolerance(1e-4, 1e-5),
        mistakes={
            "only the draws are in the interval: the sentences of the test were drawn, too": (
                draws_alone
            ),
            "only the sentences are in the interval: the examples to learn from were drawn, too": (
                sentences_alone
            ),
            "this is Student's interval over the draws: the test sentences were drawn, too": (
                lambda a, b: _gain(a, b, _of_draws, z=float(stats.t.ppf(0.975, len(a) - 1)))
            ),
            "every answer counts as if it had a draw and a sentence of its own: one variance over "
            "the draws, one over the sentences": (wrong(lambda d: float(d.var(ddof=1) / d.size))),
            "the two methods' variances are added as if they had other sentences: take the "
            "difference first": unpaired,
            "the two errors are added as they are: their squares add up": (
                wrong(lambda d: (_of_draws(d) ** 0.5 + _of_sentences(d) ** 0.5) ** 2)
            ),
            "the larger of the two errors is taken: their squares add up": (
                wrong(lambda d: max(_of_draws(d), _of_sentences(d)))
            ),
            "the variances divide by the number minus one: var(ddof=1)": (
                wrong(lambda d: _both(d, less=0))
            ),
            "the variances are not divided by how many there are, R draws and N sentences": (
                wrong(lambda d: float(d.mean(1).var(ddof=1) + d.mean(0).var(ddof=1)))
            ),
            "R and N are exchanged: the variance over draws is divided by the number of draws": (
                wrong(
                    lambda d: float(
                        d.mean(1).var(ddof=1) / d.shape[1] + d.mean(0).var(ddof=1) / len(d)
                    )
                )
            ),
            "the root is missing: the error is the root of the two variances' sum": (
                wrong(lambda d: _both(d) ** 2)
            ),
            "one standard error each way holds 68 %: 95 % takes 1.96 of them": wrong(z=1.0),
            "this is a 90 % interval: 95 % takes 1.96 standard errors": wrong(z=1.644854),
            "95 % takes 1.96 standard errors, not 2": wrong(z=2.0),
            "the sign is turned round: `better` minus `worse`": lambda a, b: _gain(b, a),
            "these are points: a share is asked for, do not multiply by 100": (
                rearranged(lambda *ends: tuple(100 * end for end in ends))
            ),
            "the low end comes before the high one": (
                rearranged(lambda mean, low, high: (mean, high, low))
            ),
            "the order is mean, low end, high end": (
                rearranged(lambda mean, low, high: (low, mean, high))
            ),
            "these are the distances from the mean: give the ends of the interval": (
                rearranged(lambda mean, low, high: (mean, mean - low, high - mean))
            ),
            "the mean is missing: mean, low end, high end": (
                rearranged(lambda mean, low, high: (low, high))
            ),
        },
        where="The mean of better − worse, and 1.96 · √(variance over the draws' means / R + "
        "variance over the sentences' means / N) to either side",
    )
    return "few-shot gain: paired, with the error of the draws and that of the sentences"
