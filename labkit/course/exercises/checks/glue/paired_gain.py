"""Exercise 7.5: the check of ``paired_gain``."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import Any

from scipy import stats

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import Tolerance

Scores = dict[int, float]


def _t(count: int, share: float = 0.975) -> float:
    return float(stats.t.ppf(share, count - 1))


def _interval(
    differences: list[float],
    quantile: Callable[[int], float] = _t,
    spread: Callable[[list[float]], float] = statistics.stdev,
    root: Callable[[int], float] = math.sqrt,
) -> tuple[float, float, float]:
    if len(differences) < 2:
        raise ValueError
    mean, count = statistics.fmean(differences), len(differences)
    half = quantile(count) * spread(differences) / root(count)
    return mean, mean - half, mean + half


def _differences(changed: Scores, plain: Scores) -> list[float]:
    return [changed[seed] - plain[seed] for seed in sorted(changed.keys() & plain.keys())]


def _gain(changed: Scores, plain: Scores, **kinds: Any) -> tuple[float, float, float]:
    return _interval(_differences(changed, plain), **kinds)


def _cases(draw: Draw) -> list[tuple[Scores, Scores]]:
    cases: list[tuple[Scores, Scores]] = [
        ({0: 0.81, 1: 0.79, 2: 0.84}, {0: 0.80, 1: 0.80, 2: 0.80}),
        ({0: 0.80, 2: 0.70}, {0: 0.78, 1: 0.60, 2: 0.71}),
        ({2: 0.75, 0: 0.71, 1: 0.70}, {0: 0.70, 1: 0.72, 2: 0.73}),
    ]
    for runs in (3, 4, 5, 8, 12):
        level = {seed: 0.5 + 0.4 * draw.plain.random() for seed in draw.order(runs + 4)[:runs]}
        changed = {s: round(x + 0.1 * draw.plain.random() - 0.04, 3) for s, x in level.items()}
        gone = draw.plain.choice(list(changed)) if runs > 3 else None
        extra = {99: round(draw.plain.random(), 3)} if runs > 4 else {}
        changed = {s: changed[s] for s in draw.plain.sample(list(changed), runs) if s != gone}
        cases.append((changed | extra, {seed: round(x, 3) for seed, x in level.items()}))
    low = {1234: 0.0, 7: 0.31, 50: 0.22, 8: 0.4}  # a correlation may well be 0
    cases += [(low, {8: 0.3, 7: 0.0, 1234: 0.1, 50: 0.2}), ({5: 0.0, 6: 0.0}, {6: 0.1, 5: 0.0})]
    cases += [({0: 0.8}, {0: 0.7}), ({0: 0.8, 1: 0.7}, {1: 0.7, 2: 0.6}), ({}, {0: 0.5})]
    return cases


@exercise
def check_paired_gain(gain: Guarded, draw: Draw) -> str:
    """``gain``: seed → score of two methods → mean gain over shared seeds, 95 % interval."""

    def wrong(**kinds: Any):
        return lambda a, b: _gain(a, b, **kinds)

    def in_order(changed, plain):
        return _interval([a - b for a, b in zip(changed.values(), plain.values(), strict=False)])

    def ranked(changed, plain):
        pairs = zip(sorted(changed.values()), sorted(plain.values()), strict=False)
        return _interval([a - b for a, b in pairs])

    def zeros(changed, plain):
        return _interval([changed[s] - plain[s] if s in changed else 0.0 for s in plain])

    def missing_is_zero(changed, plain):
        return _interval([changed.get(s, 0.0) - plain.get(s, 0.0) for s in changed.keys() | plain])

    def without_zeros(changed, plain):
        return _gain(*({s: x for s, x in scores.items() if x} for scores in (changed, plain)))

    def against_mean(changed, plain):
        level = statistics.fmean(plain.values())
        return _interval([score - level for score in changed.values()])

    def unpaired(changed, plain):
        seeds = sorted(changed.keys() & plain.keys())
        if len(seeds) < 2:
            raise ValueError
        a, b = [changed[s] for s in seeds], [plain[s] for s in seeds]
        squared = (statistics.variance(a) + statistics.variance(b)) / len(seeds)
        mean = statistics.fmean(a) - statistics.fmean(b)
        half = float(stats.t.ppf(0.975, 2 * len(seeds) - 2)) * squared**0.5
        return mean, mean - half, mean + half

    def rearranged(change: Callable[[float, float, float], tuple]):
        return lambda a, b: change(*_gain(a, b))

    quiet = "fewer than two shared seeds have no interval: raise ValueError"
    compare(
        gain,
        _cases(draw),
        _gain,
        tolerance=Tolerance(1e-4, 1e-6),
        mistakes={
            "scores are paired by their order in the dictionaries: by their seeds": in_order,
            "both lists were sorted, which pairs other runs with one another: pair by seed": ranked,
            "a seed that was not sorted counts as a gain of 0: it is missing, leave it out": zeros,
            "a missing score counts as 0: a seed that one of the two lacks is left out": (
                missing_is_zero
            ),
            "a score of 0 counts as missing: ask whether the seed is there, not whether its score "
            "is true": without_zeros,
            "the mean of all plain runs is subtracted from each score: its own seed's": (
                against_mean
            ),
            "the spread of the runs themselves is in the interval: the same seed shares its luck, "
            "so take the difference of each seed first": unpaired,
            "1.96 is for many seeds; with three of them Student's t gives 4.3: stats.t.ppf": (
                wrong(quantile=lambda count: 1.959964)
            ),
            "Student's t has S − 1 degrees of freedom, not S": (
                wrong(quantile=lambda count: _t(count + 1))
            ),
            "this is a 90 % interval: 95 % leaves 2.5 % on either side, ppf(0.975)": (
                wrong(quantile=lambda count: _t(count, 0.95))
            ),
            "4.3 is Student's t for three seeds: another number of seeds has another": (
                wrong(quantile=lambda count: 4.302653)
            ),
            "divide by the number of seeds minus one: std(ddof=1)": (
                wrong(spread=statistics.pstdev)
            ),
            "the deviation is not divided by the root of the number of seeds": (
                wrong(root=lambda count: 1.0)
            ),
            "the deviation is divided by the number of seeds, not by its root": wrong(root=float),
            "one standard error to either side: Student's t of them": (
                wrong(quantile=lambda count: 1.0)
            ),
            "the sign is turned round: the changed prompt minus the plain one": (
                lambda a, b: _gain(b, a)
            ),
            "the low end comes before the high one": rearranged(
                lambda m, low, high: (m, high, low)
            ),
            "the order is mean, low end, high end": rearranged(lambda m, low, high: (low, m, high)),
            "these are the distances from the mean: give the ends of the interval": (
                rearranged(lambda m, low, high: (m, m - low, high - m))
            ),
        },
        unraised=quiet,
        where="Over the seeds that both have: the mean of changed − plain, and Student's 95 % "
        "interval of those differences",
    )
    return "paired gain: seed by seed, what is missing is missing, Student's interval"
