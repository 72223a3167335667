"""Checks of notebook 07_glue."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import Tolerance

# ---- 7.1 ----


@exercise
def check_two_poles(read: Guarded, draw: Draw) -> str:
    """``read``: log-scores of the low and the high pole (N, 2), limits → values (N,)."""
    first = torch.tensor([[0.0, 0.0], [-1.0, 2.0], [30.0, -30.0], [0.0, math.log(3.0)]])
    cases = [(first, 0.0, 5.0), (first, -4.0, 4.0), (draw.normal(1, 2), 1.0, 3.0)]
    cases += [(3 * draw.normal(n, 2) - 4, low, high) for n, low, high in
              ((2, 0.0, 1.0), (7, 2.0, 2.5), (5, -10.0, -3.0), (300, 0.0, 5.0))]  # fmt: skip
    cases.append((torch.tensor([[-30.0, -31.0], [20.0, 22.0], [2.0, 2.0]]), 1.0, 3.0))

    def right(scores: Tensor, low: float, high: float) -> Tensor:
        shares = [1 / (1 + math.exp(a - b)) for a, b in scores.double().tolist()]
        return torch.tensor([low + (high - low) * share for share in shares]).double()

    def share(scores: Tensor) -> Tensor:
        return scores.double().softmax(-1)[:, 1]

    def raw(scores: Tensor) -> Tensor:
        return scores.double()[:, 1] / scores.double().sum(-1)

    compare(
        read,
        cases,
        right,
        mistakes={
            "the poles are exchanged: column 1 is the high pole, and its share should raise the "
            "value": lambda s, low, high: low + (high - low) * (1 - share(s)),
            "only the ends of the range come out: interpolate, do not choose": (
                lambda s, low, high: torch.where(share(s) > 0.5, high, low).double()
            ),
            "these are shares between 0 and 1: stretch them over the range": (
                lambda s, low, high: share(s)
            ),
            "the range does not begin at 0: low + (high − low) · share": (
                lambda s, low, high: high * share(s)
            ),
            "the width of the range is used, its begin is not: add low": (
                lambda s, low, high: (high - low) * share(s)
            ),
            "low is added, but the share is stretched by high: the range is high − low wide": (
                lambda s, low, high: low + high * share(s)
            ),
            "the scores are not turned into shares, and values leave the range: take the softmax "
            "of the two scores first": lambda s, low, high: low + (high - low) * s.double()[:, 1],
            "the difference of the scores is used as it is, and values leave the range: take the "
            "softmax of the two scores first": (
                lambda s, low, high: low + (high - low) * (s.double()[:, 1] - s.double()[:, 0])
            ),
            "the scores are divided by their sum without e to the power of them, and values leave "
            "the range: take the softmax first": (lambda s, low, high: low + (high - low) * raw(s)),
            "the high pole's score alone decides: the share compares it with the low pole's": (
                lambda s, low, high: low + (high - low) * s.double()[:, 1].sigmoid()
            ),
            "the scores are taken for probabilities: they are log-scores, so exp comes first": (
                lambda s, low, high: low + (high - low) * s.double()[:, 1].exp()
            ),
            "the softmax runs over the examples: it compares the two poles of each": (
                lambda s, low, high: low + (high - low) * s.double().softmax(0)[:, 1]
            ),
            "the softmax is taken twice": (
                lambda s, low, high: low + (high - low) * s.double().softmax(-1).softmax(-1)[:, 1]
            ),
            "the value is the weight of low plus that of high, each without its own end": (
                lambda s, low, high: low + high * share(s) - low * 0
            ),
            "one column per pole comes back: one value for each pair of scores": (
                lambda s, low, high: low + (high - low) * s.double().softmax(-1)
            ),
            "one number for all: one value for each pair of scores": (
                lambda s, low, high: (low + (high - low) * share(s)).mean()
            ),
            "one entry in a row of its own for each pair: (N,), not (N, 1)": (
                lambda s, low, high: (low + (high - low) * share(s))[:, None]
            ),
            "the values are rounded: they lie between the ends in proportion": (
                lambda s, low, high: (low + (high - low) * share(s)).round()
            ),
        },
        where="low + (high − low) · softmax(scores)[high], the high pole in column 1",
    )
    return "two poles: between the ends of the range, in proportion"


# ---- 7.2 ----


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


# ---- 7.3 ----


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
    cases = [(first,), ({"easy": [0.9, 0.9, 0.9], "hard": [0.5, 0.5, 0.5]},)]
    for tasks, seeds in ((1, 3), (2, 2), (7, 5), (3, 4), (5, 3), (2, 12)):
        values = {
            f"task {t}": [round(0.1 * t + 0.2 * draw.plain.random(), 3) for _ in range(seeds)]
            for t in range(tasks)
        }
        cases.append((values,))
    gaps = [{"a": [0.5, 0.6], "b": [0.5]}, {"a": [0.5], "b": [0.5, 0.6]},
            {"a": [0.5, 0.6, 0.7], "b": [0.5, 0.6, 0.7], "c": [0.4, 0.3]},
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


# ---- 7.4 ----


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
    cases += [(28.6, 7), (28.5, 7), (0.4, 277)]
    for n in (277, 277, 277, 13, 301, 77, 9):
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
