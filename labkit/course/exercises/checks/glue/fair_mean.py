"""Exercise 7.3: the check of ``fair_mean``."""

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


def _seeds(values: dict[str, list[float]]) -> list[float]:
    """The mean over tasks of each seed."""
    if len({len(scores) for scores in values.values()}) != 1:
        raise ValueError
    return [statistics.fmean(column) for column in zip(*values.values(), strict=True)]


def _fair(
    values: dict[str, list[float]],
    quantile: Callable[[int], float] = lambda s: float(stats.t.ppf(0.975, s - 1)),
    spread: Callable[[list[float]], float] = statistics.stdev,
    root: Callable[[int], float] = math.sqrt,
) -> tuple[float, float, float]:
    by_seed = _seeds(values)
    mean, count = statistics.fmean(by_seed), len(by_seed)
    half = quantile(count) * spread(by_seed) / root(count)
    return mean, mean - half, mean + half


@exercise
def check_fair_mean(mean: Guarded, draw: Draw) -> str:
    """``mean``: task → one score per seed → mean over tasks, and its 95 % interval over seeds."""
    first = {"a": [0.50, 0.54, 0.52], "b": [0.90, 0.98, 0.94], "c": [0.70, 0.70, 0.70]}
    # seeds that are all alike are no case: SciPy's interval without a spread is no number
    cases = [(first,), ({"easy": [0.9, 0.91, 0.92], "hard": [0.5, 0.51, 0.5]},)]
    for tasks, seeds in ((1, 3), (2, 2), (7, 5), (3, 4), (5, 3), (2, 12)):
        values = {
            f"task {t}": [round(0.1 * t + 0.2 * draw.plain.random(), 3) for _ in range(seeds)]
            for t in range(tasks)
        }
        cases.append((values,))
    gaps = [{"a": [0.5, 0.6], "b": [0.5]}, {"a": [0.5], "b": [0.5, 0.6]},
            {"a": [0.5, 0.6, 0.7], "b": [0.5, 0.6, 0.7], "c": [0.4, 0.3]},
            {"a": [0.5, 0.6, 0.7], "b": [0.4, 0.3], "c": [0.5, 0.6, 0.7]},
            {"a": [0.5, 0.6], "b": []}, {"a": [0.1, 0.2, 0.3], "b": [0.1, 0.2]}]  # fmt: skip
    cases += [(values,) for values in gaps]

    def of(formula: Callable[[dict], Any], checks: bool = True) -> Callable[[dict], Any]:
        def computed(values: dict) -> Any:
            if checks:
                _seeds(values)
            return formula(values)

        return computed

    def everything(values):
        every = [score for scores in values.values() for score in scores]
        half = float(stats.t.ppf(0.975, len(every) - 1)) * statistics.stdev(every)
        middle = statistics.fmean(every)
        return middle, middle - half / len(every) ** 0.5, middle + half / len(every) ** 0.5

    def over_tasks(values):
        means = [statistics.fmean(scores) for scores in values.values()]
        if len(means) < 2:
            return means[0], math.nan, math.nan
        half = float(stats.t.ppf(0.975, len(means) - 1)) * statistics.stdev(means)
        middle = statistics.fmean(means)
        return middle, middle - half / len(means) ** 0.5, middle + half / len(means) ** 0.5

    def widths(values):
        middle, low, high = _fair(values)
        return middle, middle - low, high - middle

    def mean_of_widths(values):
        halves = [
            float(stats.t.ppf(0.975, len(s) - 1)) * statistics.stdev(s) / len(s) ** 0.5
            for s in values.values()
        ]
        middle, half = _fair(values)[0], statistics.fmean(halves)
        return middle, middle - half, middle + half

    def cut_to_shortest(values):
        shortest = min(len(scores) for scores in values.values())
        return _fair({task: scores[:shortest] for task, scores in values.items()})

    formulas: dict[str, Callable[[dict], Any]] = {
        "the differences between tasks are in the interval: average over tasks first, one number "
        "for each seed, and take the interval of those": everything,
        "this is the interval over tasks: average over tasks first, one number for each seed, and "
        "take the interval of those": over_tasks,
        "this is the mean of the tasks' own intervals: average over tasks first, one number for "
        "each seed": mean_of_widths,
        "divide by the number of seeds minus one: std(ddof=1)": (
            lambda v: _fair(v, spread=statistics.pstdev)
        ),
        "1.96 is for many seeds; with three of them Student's t gives 4.3: stats.t.ppf": (
            lambda v: _fair(v, quantile=lambda s: 1.959964)
        ),
        "1.96 is for many seeds, and the deviation divides by the seeds minus one: Student's t and "
        "std(ddof=1)": lambda v: _fair(v, quantile=lambda s: 1.959964, spread=statistics.pstdev),
        "Student's t has S − 1 degrees of freedom, not S": (
            lambda v: _fair(v, quantile=lambda s: float(stats.t.ppf(0.975, s)))
        ),
        "Student's t has S − 1 degrees of freedom, with S the number of seeds, not of tasks": (
            lambda v: _fair(
                v, quantile=lambda s: float(stats.t.ppf(0.975, max(len(v) - 1, 1)))
            )
        ),
        "this is a 90 % interval: 95 % leaves 2.5 % on either side, ppf(0.975)": (
            lambda v: _fair(v, quantile=lambda s: float(stats.t.ppf(0.95, s - 1)))
        ),
        "the deviation is not divided by the root of the number of seeds": (
            lambda v: _fair(v, root=lambda s: 1.0)
        ),
        "the deviation is divided by the number of seeds, not by its root": (
            lambda v: _fair(v, root=float)
        ),
        "the deviation is divided by the root of the number of tasks: it is that of the seeds": (
            lambda v: _fair(v, root=lambda s: math.sqrt(len(v)))
        ),
        "this is the deviation itself on either side: Student's t times it, over √S": (
            lambda v: _fair(v, quantile=lambda s: 1.0, root=lambda s: 1.0)
        ),
        "one standard error to either side: Student's t of them": (
            lambda v: _fair(v, quantile=lambda s: 1.0)
        ),
        "the variance stands where its root should: the deviation": (
            lambda v: _fair(v, spread=statistics.variance)
        ),
        "these are the distances from the mean: give the ends of the interval": widths,
        "the low end comes before the high one": lambda v: (
            _fair(v)[0], _fair(v)[2], _fair(v)[1],
        ),
        "the order is mean, low end, high end": lambda v: (_fair(v)[1], _fair(v)[0], _fair(v)[2]),
        "these are the smallest and the largest seed: Student's interval": lambda v: (
            _fair(v)[0], min(_seeds(v)), max(_seeds(v)),
        ),
        "this is the first task alone: average over tasks": (
            lambda v: _fair({task: v[task] for task in list(v)[:1]})
        ),
        "the deviation is divided by the root of all runs: by that of the seeds": (
            lambda v: _fair(v, root=lambda s: math.sqrt(s * len(v)))
        ),
        "the scores of each task were sorted, which mixes the seeds": (
            lambda v: _fair({task: sorted(scores) for task, scores in v.items()})
        ),
        "4.3 is Student's t for three seeds: another number of seeds has another": (
            lambda v: _fair(v, quantile=lambda s: 4.302653)
        ),
        "this is the median over the seeds: the mean": lambda v: (
            statistics.median(_seeds(v)), *_fair(v)[1:],
        ),
    }  # fmt: skip
    quiet = (
        "a task with fewer seeds went through: a mean over other runs is another quantity, so "
        "raise ValueError"
    )

    def only_if_empty(values):
        if any(not scores for scores in values.values()):
            raise ValueError
        return cut_to_shortest(values)

    compare(
        mean,
        cases,
        _fair,
        tolerance=Tolerance(1e-4, 1e-6),
        mistakes={
            **{hint: of(formula) for hint, formula in formulas.items()},
            quiet: of(cut_to_shortest, checks=False),
            f"{quiet}, and not only for an empty one": only_if_empty,
            **{f"{hint}; besides, {quiet}": of(f, checks=False) for hint, f in formulas.items()},
        },
        unraised=quiet,
        where="The mean over tasks for each seed; of those numbers the mean, and Student's 95 % "
        "interval",
    )
    return "fair mean: tasks first, then seeds; nothing missing goes unseen"
