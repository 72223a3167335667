"""Exercise 8.1: the check of ``same_kind_gain``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import Tolerance


def _tables(draw: Draw) -> list[tuple[np.ndarray, ...]]:
    """Accuracies (S, T), the level of each target (T,), same kind and fair (S, T) bool."""
    square = np.array([[0.9, 0.7, 0.5], [0.8, 0.9, 0.6], [0.5, 0.5, 0.9]])
    kin = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]]) > 0
    cases = [(square, np.array([0.6, 0.5, 0.5]), kin, ~np.eye(3, dtype=bool))]
    nothing = np.array([[0.9, 0.0, 0.5], [0.0, 0.6, 0.5], [0.7, 0.5, 0.75]])
    own_kind = np.ones((3, 3), dtype=bool)
    cases.append((nothing, np.array([0.3, 0.2, 0.5]), own_kind, ~np.eye(3, dtype=bool)))
    for sources, targets, kinds in ((4, 4, 2), (6, 6, 2), (5, 7, 3), (8, 3, 2), (12, 12, 4)):
        of_source = [i % kinds for i in range(sources)]
        of_target = [i % kinds for i in range(targets)]
        same = np.equal.outer(of_source, of_target)
        fair = (draw.uniform(sources, targets) < 0.7).numpy()
        fair[0, 0], fair[kinds, 0], fair[:, -1] = False, True, fair[:, -1] & ~same[:, -1]
        values = draw.uniform(sources, targets).double().numpy().round(3)
        cases.append((values, draw.uniform(targets).double().numpy().round(3), same, fair))
    return cases


def _over_targets(
    values: np.ndarray,
    level: np.ndarray,
    counted: np.ndarray,
    of_target: Callable[[np.ndarray], float] = np.mean,
    without: float | None = None,
) -> float:
    gains = []
    for column in range(values.shape[1]):
        of_column = values[counted[:, column], column] - level[column]
        if len(of_column):
            gains.append(of_target(of_column))
        elif without is not None:
            gains.append(without)
    return float(np.mean(gains))


@exercise
def check_same_kind_gain(gain: Guarded, draw: Draw) -> str:
    """``gain``: accuracies (S, T), a level (T,), same kind and fair (S, T) → mean over targets."""

    def right(values, level, same, fair):
        return _over_targets(values, level, same & fair)

    def pairs(values, level, same, fair):
        return float((values - level)[same & fair].mean())

    def by_source(values, level, same, fair):
        return _over_targets((values - level).T, np.zeros(len(values)), (same & fair).T)

    def without_zeros(values, level, same, fair):
        return _over_targets(values, level, same & fair & (values != 0))

    def gains_alone(values, level, same, fair):
        counted = same & fair
        columns = [i for i, rows in enumerate(counted.T) if rows.any()]
        gains = np.array([values[counted[:, i], i].mean() - level[i] for i in columns])
        return float(gains[gains != 0].mean())

    def kinds_apart(values, level, same, fair):
        columns = [i for i, rows in enumerate((same & fair).T) if rows.any()]
        columns = [i for i in columns if (~same & fair)[:, i].any()]
        means = [
            [values[(group & fair)[:, i], i].mean() for i in columns] for group in (same, ~same)
        ]
        return float(np.mean(np.subtract(*means)))

    compare(
        gain,
        _tables(draw),
        right,
        tolerance=Tolerance(1e-6, 1e-6),
        mistakes={
            "pairs that are not fair count as well, a task's own prompt among them: only fair "
            "pairs say something about transfer": (
                lambda v, level, same, fair: _over_targets(v, level, same)
            ),
            "sources of other kinds count as well: only those of the target's kind": (
                lambda v, level, same, fair: _over_targets(v, level, fair)
            ),
            "the sources of other kinds were taken: those of the target's kind": (
                lambda v, level, same, fair: _over_targets(v, level, fair & ~same)
            ),
            "this is the mean over all pairs, so targets with many sources count more: average "
            "within each target first": pairs,
            "the table is averaged along its rows, over the targets of a source: down a column, "
            "over the sources of a target": by_source,
            "the level is not subtracted": (
                lambda v, level, same, fair: _over_targets(v, 0 * level, same & fair)
            ),
            "the sign is turned round: accuracy minus level": (
                lambda v, level, same, fair: -right(v, level, same, fair)
            ),
            "this is the best source of each target: which one is best is seen afterwards only; "
            "take the mean": (
                lambda v, level, same, fair: _over_targets(v, level, same & fair, np.max)
            ),
            "a target without a fair source of its kind is averaged over nothing, which gives "
            "nan: leave it out": (
                lambda v, level, same, fair: _over_targets(v, level, same & fair, without=np.nan)
            ),
            "a target without a fair source of its kind counts as a gain of 0: leave it out": (
                lambda v, level, same, fair: _over_targets(v, level, same & fair, without=0.0)
            ),
            "an accuracy of 0 is left out, as if it were no source: it counts like any other": (
                without_zeros
            ),
            "a target whose gain is 0 is left out, as if it had no source: it counts": gains_alone,
            "one gain per target comes back, summed: take the mean over the targets": (
                lambda v, level, same, fair: (
                    right(v, level, same, fair) * int((same & fair).any(0).sum())
                )
            ),
            "these are points: a share is asked for, do not multiply by 100": (
                lambda v, level, same, fair: 100 * right(v, level, same, fair)
            ),
            "this is same kind minus other kind: the level is what gains are measured from": (
                kinds_apart
            ),
        },
        where="For each target: the mean of its fair sources of its own kind, minus its level; "
        "then the mean over the targets that have such a source",
    )
    return "same-kind gain: within a target first, fair pairs only, above its own level"
