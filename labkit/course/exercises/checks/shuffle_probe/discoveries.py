"""Exercise 4.4: the check of ``discoveries``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare, require
from labkit.course.exercises.guard import Guarded

Threshold = Callable[[int, int, float], float]


def _line(rank: int, count: int, rate: float) -> float:
    return rank / count * rate


def _discoveries(p_values: np.ndarray, rate: float, line: Threshold = _line) -> list[bool]:
    """Step up: the largest rank below its line, and everything before it."""
    ordered = sorted(float(p) for p in p_values)
    ranks = [k for k, p in enumerate(ordered, 1) if p <= line(k, len(ordered), rate)]
    bound = ordered[max(ranks) - 1] if ranks else -1.0
    return [bool(p <= bound) for p in p_values]


def _cases(draw: Draw) -> list[tuple[np.ndarray, float]]:
    first = np.array([0.03, 0.8, 0.022, 0.001, 0.028])
    cases = [(first, 0.05), (first, 0.1), (np.array([0.04]), 0.05), (np.array([0.2]), 0.05)]
    cases += [(np.array([0.9, 0.5, 0.7]), 0.05), (np.array([0.001, 0.002, 0.003]), 0.05)]
    cases += [(np.array([0.049, 0.048, 0.047, 0.046]), 0.05), (np.array([0.013] * 3 + [0.6]), 0.05)]
    on_the_line = [np.array([0.25, 0.9]), np.array([0.375, 0.9, 0.3, 0.2])]  # exact in binary
    cases += [(values, 0.5) for values in on_the_line]
    for count, strong, rate in ((6, 3, 0.05), (30, 12, 0.05), (200, 60, 0.05), (50, 9, 0.2),
                                (40, 0, 0.1), (25, 25, 0.05), (80, 30, 0.01)):  # fmt: skip
        small = draw.uniform(strong).double().numpy() ** 2 * 1.3 * rate
        values = np.concatenate([small, draw.uniform(count - strong).double().numpy()])
        cases.append((values[draw.order(count)].round(5) + 3e-6, rate))
    return cases


@exercise
def check_discoveries(discoveries: Guarded, draw: Draw) -> str:
    """``discoveries``: p-values (M,), rate → (M,) whether each one is a discovery."""

    def by(line: Threshold):
        return lambda p, rate: _discoveries(p, rate, line)

    def own_line(p, rate):
        ranks = np.argsort(np.argsort(p, kind="stable"), kind="stable") + 1
        return (p <= ranks / len(p) * rate).tolist()

    def step_down(p, rate):
        order, discovered = np.argsort(p, kind="stable"), [False] * len(p)
        for rank, index in enumerate(order, 1):
            if p[index] > rank / len(p) * rate:
                break
            discovered[index] = True
        return discovered

    def holm(p, rate):
        order, discovered = np.argsort(p, kind="stable"), [False] * len(p)
        for rank, index in enumerate(order):
            if p[index] > rate / (len(p) - rank):
                break
            discovered[index] = True
        return discovered

    def in_order(p, rate):
        return sorted(_discoveries(p, rate), reverse=True)

    def unsorted(p, rate):
        ranks = [k for k, value in enumerate(p, 1) if value <= k / len(p) * rate]
        last = max(ranks, default=0)
        return [k <= last for k in range(1, len(p) + 1)]

    def indices(p, rate):
        return [i for i, discovered in enumerate(_discoveries(p, rate)) if discovered]

    def harmonic(rank: int, count: int, rate: float) -> float:
        return rank / count * rate / sum(1 / k for k in range(1, count + 1))

    compare(
        discoveries,
        _cases(draw),
        _discoveries,
        mistakes={
            "every p-value is held against the rate itself, so false alarms grow with the number "
            "of tests: against k / M · rate": by(lambda k, m, rate: rate),
            "every p-value is held against rate / M (Bonferroni): the k-th smallest against "
            "k / M · rate": by(lambda k, m, rate: rate / m),
            "the search stops at the first rank above its line: look for the *largest* k below "
            "it, and take everything before": step_down,
            "a p-value above its own line is left out though a larger one is below its line: "
            "everything before the largest k counts": own_line,
            "this is Holm's procedure: the k-th smallest against k / M · rate, and the largest "
            "such k": holm,
            "a p-value on its line counts as above it: it may be as large as k / M · rate": (
                by(lambda k, m, rate: k / m * rate - 1e-9)
            ),
            "these are Benjamini and Yekutieli's lines, for any dependence: without the sum of "
            "1/k": by(harmonic),
            "the ranks begin at 0: the smallest p-value has k = 1": (
                by(lambda k, m, rate: (k - 1) / m * rate)
            ),
            "the ranks are one too high: the smallest p-value has k = 1": (
                by(lambda k, m, rate: (k + 1) / m * rate)
            ),
            "0.05 is the rate whatever was asked for": lambda p, rate: _discoveries(p, 0.05),
            "the answers stand in the order of the sorted p-values: in that of the arguments": (
                in_order
            ),
            "the p-values are not sorted: rank k belongs to the k-th smallest": unsorted,
            "these are the places of the discoveries: True or False for each p-value": indices,
            "it is turned round: True for a discovery": (
                lambda p, rate: [not discovered for discovered in _discoveries(p, rate)]
            ),
            "the line runs the other way: the smallest p-value has the lowest line": (
                by(lambda k, m, rate: (m - k + 1) / m * rate)
            ),
            "their number comes back: True or False for each p-value": (
                lambda p, rate: sum(_discoveries(p, rate))
            ),
        },
        where="Sort; the largest k whose p-value is at most k / M · rate; True for it and for all "
        "smaller ones, in the order of the arguments",
    )
    for case in _cases(draw)[:3]:
        found = np.asarray(discoveries(*case))
        require(
            found.dtype == bool,
            f"entries of type {found.dtype} come back: True and False are asked for; an array of 0 "
            "and 1 picks other entries than a mask",
        )
    return "Benjamini and Hochberg: up to the last one below its line"
