"""Exercise 7.4: the check of ``gate_cost``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scipy import stats

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded

Counts = list[tuple[int, int]]


def _low(right: int, n: int, level: float = 0.95, method: str = "wilson") -> float:
    test = stats.binomtest(right, n)
    return float(test.proportion_ci(level, method=method).low)


def _high(right: int, n: int) -> float:
    return float(stats.binomtest(right, n).proportion_ci(0.95, method="wilson").high)


def _share(right: int, n: int) -> float:
    return right / n


def _costs(
    validation: Counts,
    test: Counts,
    majority: list[float],
    of_validation: Callable[[int, int], float] = _low,
    of_test: Callable[[int, int], float] = _low,
) -> tuple[int, int]:
    past = missed = 0
    for one, other, level in zip(validation, test, majority, strict=True):
        if of_validation(*one) > level:
            past += 1
        elif of_test(*other) > level:
            missed += 1
    return past, missed


def _cases(draw: Draw) -> list[tuple[Counts, Counts, list[float]]]:
    cases: list[tuple[Counts, Counts, list[float]]] = [
        ([(80, 100), (55, 100), (60, 100)], [(700, 1000), (590, 1000), (510, 1000)], [0.5] * 3),
        ([(56, 100)], [(560, 1000)], [0.5]),
        ([(0, 50), (50, 50)], [(0, 200), (200, 200)], [0.3, 0.9]),
        ([], [], []),
        ([(30, 60)], [(300, 600)], [0.5]),
    ]
    for runs, n, m in ((8, 100, 1000), (20, 60, 300), (40, 200, 500), (60, 128, 872)):
        level = [round(0.3 + 0.4 * draw.plain.random(), 3) for _ in range(runs)]
        above = [x + 0.2 * draw.plain.random() for x in level]
        drawn = [
            [(sum(draw.plain.random() < min(x, 1) for _ in range(size)), size) for x in above]
            for size in (n, m)
        ]
        cases.append((drawn[0], drawn[1], level))
    return [*cases, *(_of_own_sizes(draw) for _ in range(2))]


def _of_own_sizes(draw: Draw) -> tuple[Counts, Counts, list[float]]:
    """Runs of tasks that have more or fewer sentences than one another."""
    level = [round(0.3 + 0.4 * draw.plain.random(), 3) for _ in range(30)]
    counts = []
    for least, most in ((20, 300), (100, 1000)):
        sizes = [draw.whole(least, most) for _ in level]
        shares = [min(x + 0.25 * draw.plain.random(), 1) for x in level]
        counts.append([(round(p * n), n) for p, n in zip(shares, sizes, strict=True)])
    return counts[0], counts[1], level


@exercise
def check_gate_cost(cost: Guarded, draw: Draw) -> str:
    """``cost``: (right, n) on validation and on test, majority shares → (past, missed)."""

    def by(of_validation: Callable[..., float], of_test: Callable[..., float] | None = None):
        return lambda v, t, m: _costs(v, t, m, of_validation, of_test or of_validation)

    def normal(right: int, n: int) -> float:
        p = right / n
        return p - 1.959964 * (p * (1 - p) / n) ** 0.5

    def exact(right: int, n: int) -> float:
        return _low(right, n, method="exact")

    def narrow(right: int, n: int) -> float:
        return _low(right, n, level=0.9)

    def all_beat(v, t, m):
        past, _ = _costs(v, t, m)
        return past, sum(_low(*counts) > level for counts, level in zip(t, m, strict=True))

    def left_out(v, t, m):
        past, _ = _costs(v, t, m)
        return past, len(m) - past

    def wrongly_past(v, t, m):
        past, _ = _costs(v, t, m)
        rows = zip(v, t, m, strict=True)
        return past, sum(_low(*a) > level >= _low(*b) for a, b, level in rows)

    def pooled(v, t, m):
        level = sum(m) / len(m)
        return _costs(v, t, [level] * len(m))

    def one_size(v, t, m):
        v, t = ([(round(k), counts[0][1]) for k, _ in counts] for counts in (v, t))
        return _costs(v, t, m, wilson, wilson)

    def wilson(right: int, n: int) -> float:
        """As `_low`, also where another run's n makes more right than there are."""
        p, z = right / n, 1.959964
        middle, spread = p + z * z / (2 * n), p * (1 - p) / n + z * z / (4 * n * n)
        return (middle - z * max(spread, 0.0) ** 0.5) / (1 + z * z / n)

    def rearranged(change: Callable[[int, int], Any]):
        return lambda v, t, m: change(*_costs(v, t, m))

    compare(
        cost,
        _cases(draw),
        _costs,
        mistakes={
            "the share itself is held against the majority class: beyond chance means the lower "
            "end of its interval": by(_share),
            "the test's share itself is held against the majority class: its lower end, as on "
            "validation": by(_low, _share),
            "the upper end is held against the majority class: the lower end": by(_high),
            "this is the normal approximation: Wilson's interval": by(normal),
            "this is the exact interval of Clopper and Pearson: Wilson's": by(exact),
            "this is a 90 % interval: 95 %": by(narrow),
            "a half is the level for all runs: each has its own majority class": (
                lambda v, t, m: _costs(v, t, [0.5] * len(m))
            ),
            "the mean of the majority shares is the level for all runs: each has its own": pooled,
            "missed counts all runs that are left out: only those that beat their majority class "
            "on test": left_out,
            "missed counts all runs that beat their majority class on test: only those that are "
            "left out": all_beat,
            "missed counts the runs that got past without beating it on test: those that are left "
            "out and do beat it": wrongly_past,
            "the gate looks at the test: validation decides who gets past": (
                lambda v, t, m: _costs(t, v, m)
            ),
            "the two numbers are exchanged: past first": rearranged(
                lambda past, miss: (miss, past)
            ),
            "all runs are given the n of the first one: each pair has its own": one_size,
            "these are shares of the runs: numbers of them": (
                lambda v, t, m: tuple(x / max(len(m), 1) for x in _costs(v, t, m))
            ),
        },
        where="past: runs whose 95 % Wilson interval on validation begins above their majority "
        "share; missed: the others, if their interval on test begins above it",
    )
    return "the gate: decided on validation, its cost seen on test"
