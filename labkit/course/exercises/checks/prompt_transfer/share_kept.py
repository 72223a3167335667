"""Exercise 8.2: the check of ``share_kept``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import Tolerance


def _level(controls: np.ndarray) -> np.ndarray:
    return controls.max(0)


def _gains(
    values: np.ndarray,
    own: np.ndarray,
    controls: np.ndarray,
    fair: np.ndarray,
    level: Callable[[np.ndarray], np.ndarray] = _level,
    of_target: Callable[[np.ndarray], float] = np.mean,
    all_targets: bool = False,
) -> tuple[list[float], list[float]]:
    """Of each target that counts: what foreign prompts gain, and what its own gains."""
    foreign, gained = [], []
    for column, height in enumerate(level(controls)):
        sources = values[fair[:, column], column]
        if len(sources) and (all_targets or own[column] > height):
            foreign.append(float(of_target(sources)) - height)
            gained.append(float(own[column]) - height)
    return foreign, gained


def _share(*args: np.ndarray, **kinds) -> float:
    foreign, gained = _gains(*args, **kinds)
    return sum(foreign) / sum(gained)


def _cases(draw: Draw) -> list[tuple[np.ndarray, ...]]:
    values = np.array([[0.9, 0.7, 0.5], [0.8, 0.9, 0.6], [0.6, 0.6, 0.7]])
    fair = ~np.eye(3, dtype=bool)
    controls = np.array([[0.5, 0.6, 0.5], [0.6, 0.5, 0.8]])
    cases = [(values, np.array([0.9, 0.9, 0.7]), controls, fair)]
    level_with = np.array([[0.5, 0.5, 0.25], [0.25, 0.75, 0.5]])
    nothing = np.array([[0.75, 0.0, 0.75], [0.0, 0.75, 1.0], [0.75, 0.5, 0.75]])
    cases.append((nothing, np.array([1.0, 1.0, 0.5]), level_with, fair))
    for sources, targets, count in ((3, 3, 2), (5, 6, 3), (8, 4, 1), (4, 9, 3), (12, 12, 3)):
        numbers = [draw.uniform(*size).double().numpy().round(3)
                   for size in ((sources, targets), (targets,), (count, targets))]  # fmt: skip
        numbers[1] += 0.4
        fair = (draw.uniform(sources, targets) < 0.6).numpy()
        fair[0, 0], numbers[1][0] = True, 1.5  # one target always counts
        if targets > 3:
            fair[:, -1], numbers[1][1] = False, -0.2  # and two do not
            fair[0, 1] = True
        cases.append((*numbers, fair))
    return cases


@exercise
def check_share_kept(share: Guarded, draw: Draw) -> str:
    """``share``: accuracies (S, T), own (T,), controls (C, T), fair (S, T) → share kept."""

    def above(level: Callable[[np.ndarray], np.ndarray]):
        return lambda *args: _share(*args, level=level)

    def pooled(values, own, controls, fair):
        level, counts = _level(controls), own > _level(controls)
        pairs = fair & counts
        gains = np.broadcast_to(own - level, values.shape)
        return float((values - level)[pairs].sum() / gains[pairs].sum())

    def every_own(values, own, controls, fair):
        foreign, _ = _gains(values, own, controls, fair)
        counts = own > _level(controls)
        return sum(foreign) / float((own - _level(controls))[counts].sum())

    def all_sources(values, own, controls, fair):
        level = _level(controls)
        counts = (own > level) & fair.any(0)
        return float((values.mean(0) - level)[counts].sum() / (own - level)[counts].sum())

    def over_nothing(values, own, controls, fair):
        none = (own > _level(controls)) & ~fair.any(0)
        return float("nan") if none.any() else _share(values, own, controls, fair)

    def of_scores(values, own, controls, fair):
        return _share(values, own, 0 * controls, fair, all_targets=True)

    def as_high(values, own, controls, fair):
        return _share(values, own + 1e-12 * (own == _level(controls)), controls, fair)

    def without_zeros(values, own, controls, fair):
        return _share(values, own, controls, fair & (values != 0))

    def mean_of_shares(*args):
        return float(np.mean([a / b for a, b in zip(*_gains(*args), strict=True)]))

    compare(
        share,
        _cases(draw),
        _share,
        tolerance=Tolerance(1e-6, 1e-6),
        mistakes={
            "these are shares of the scores: subtract the level from both, or guessing counts as "
            "something kept": of_scores,
            "the first control alone is the level: the highest of all controls, for each target": (
                above(lambda controls: controls[0])
            ),
            "the last control alone is the level: the highest of all controls, for each target": (
                above(lambda controls: controls[-1])
            ),
            "the level is the mean of the controls: the highest of them, for each target": (
                above(lambda controls: controls.mean(0))
            ),
            "the level is the lowest control: the highest of them, for each target": (
                above(lambda controls: controls.min(0))
            ),
            "one level serves all targets, the highest of all numbers: one for each target, "
            "controls.max(0)": above(lambda c: np.full(c.shape[1], c.max())),
            "a target whose own prompt gains nothing counts as well: there is nothing to keep of "
            "it, leave it out": lambda *args: _share(*args, all_targets=True),
            "a target whose own prompt is as high as its level counts as well: it is not above it, "
            "and has nothing to keep": as_high,
            "an accuracy of 0 is left out, as if it were no source: it counts like any other": (
                without_zeros
            ),
            "these are shares target by target, averaged: a target with hardly any gain decides; "
            "divide the sums": mean_of_shares,
            "pairs that are not fair count as well: only fair ones": all_sources,
            "pairs that are not fair count as well, and targets without one: only fair ones": (
                lambda v, own, c, fair: _share(v, own, c, np.ones_like(fair))
            ),
            "a target without a fair source is averaged over nothing, which gives nan: leave it "
            "out": over_nothing,
            "the pairs that are not fair were taken": (
                lambda v, own, c, fair: _share(v, own, c, ~fair)
            ),
            "this is the sum over all pairs, so targets with many sources count more: average "
            "within each target first": pooled,
            "own gains of targets without a fair source are in the sum below: leave these targets "
            "out on both sides": every_own,
            "this is the best source of each target: which one is best is seen afterwards only": (
                lambda *args: _share(*args, of_target=np.max)
            ),
            "upside down: what foreign prompts gain stands above the line": (
                lambda *args: 1 / _share(*args)
            ),
            "this is what is lost, 1 minus the share that is kept": (
                lambda *args: 1 - _share(*args)
            ),
            "these are per cent: a share is asked for": lambda *args: 100 * _share(*args),
            "this is what foreign prompts gain, not divided by what the own ones gain": (
                lambda *args: float(np.mean(_gains(*args)[0]))
            ),
        },
        where="Over the targets with a fair source whose own prompt is above the highest control: "
        "the sum of (mean of the fair sources − level), over the sum of (own − level)",
    )
    return "share kept: above the highest control, where there was something to keep"
