"""Exercise 8.4: the check of ``retrieved_gain``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import Tolerance

Pick = Callable[[np.ndarray, np.ndarray], float]


def _picked(values: np.ndarray, alike: np.ndarray) -> float:
    return float(values[alike.argmax()])


def _gain(
    values: np.ndarray,
    alike: np.ndarray,
    fair: np.ndarray,
    pick: Pick = _picked,
    blindly: Callable[[np.ndarray, float], float] = lambda values, picked: float(values.mean()),
    least: int = 2,
) -> float:
    gains = []
    for column, rows in enumerate(fair.T):
        if rows.sum() >= least:
            scores = values[rows, column]
            picked = pick(scores, alike[rows, column])
            gains.append(picked - blindly(scores, picked))
    return float(np.mean(gains))


def _cases(draw: Draw) -> list[tuple[np.ndarray, ...]]:
    values = np.array([[0.9, 0.7, 0.5], [0.8, 0.9, 0.6], [0.5, 0.6, 0.9], [0.6, 0.8, 0.7]])
    alike = np.array([[1.0, 0.2, 0.1], [0.6, 1.0, 0.4], [0.1, 0.3, 1.0], [0.2, 0.5, -0.3]])
    fair = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0], [1, 1, 1]]) > 0
    cases = [(values, alike, fair)]
    for sources, targets in ((4, 3), (6, 6), (5, 8), (9, 4), (12, 12)):
        numbers = [x.double().numpy().round(3) for x in (
            draw.uniform(sources, targets), 2 * draw.uniform(sources, targets) - 1)]  # fmt: skip
        fair = (draw.uniform(sources, targets) < 0.6).numpy()
        fair[:3, 0] = True
        fair[:, 1] = np.arange(sources) == 1  # one fair source, and none
        fair[:, 2] = False
        cases.append((*numbers, fair))
    return cases


@exercise
def check_retrieved_gain(gain: Guarded, draw: Draw) -> str:
    """``gain``: accuracies, likeness, fair (S, T) each → what picking by likeness brings."""

    def picking(pick: Pick):
        return lambda *args: _gain(*args, pick=pick)

    def minus(blindly: Callable[[np.ndarray, float], float]):
        return lambda *args: _gain(*args, blindly=blindly)

    def unfair_pick(values, alike, fair):
        gains = [
            values[alike[:, i].argmax(), i] - values[rows, i].mean()
            for i, rows in enumerate(fair.T)
            if rows.sum() >= 2
        ]
        return float(np.mean(gains))

    def misplaced(values, alike, fair):
        gains = [
            values[alike[rows, i].argmax(), i] - values[rows, i].mean()
            for i, rows in enumerate(fair.T)
            if rows.sum() >= 2
        ]
        return float(np.mean(gains))

    def zeroed(values, alike, fair):
        return unfair_pick(values, np.where(fair, alike, 0.0), fair)

    def by_source(values, alike, fair):
        return _gain(values.T, alike.T, fair.T)

    def others(values, picked):
        return float((values.sum() - picked) / (len(values) - 1))

    def zeros(values, alike, fair):
        counted = (fair.sum(0) >= 2).sum()
        return _gain(values, alike, fair) * counted / fair.shape[1]

    compare(
        gain,
        _cases(draw),
        _gain,
        tolerance=Tolerance(1e-6, 1e-6),
        mistakes={
            "the most alike of *all* sources is picked, the target's own prompt among them: of "
            "the fair ones": unfair_pick,
            "the place of the most alike among the fair sources is used among all of them: take "
            "both from the same rows": misplaced,
            "a likeness of 0 stands where a source is not fair, and beats negative ones: leave "
            "those sources out (−∞)": zeroed,
            "the mean of all sources is subtracted, not that of the fair ones": (
                lambda v, alike, fair: float(np.mean([
                    _picked(v[rows, i], alike[rows, i]) - v[:, i].mean()
                    for i, rows in enumerate(fair.T) if rows.sum() >= 2
                ]))
            ),
            "the mean of the *other* sources is subtracted: a source taken blindly may be the "
            "same": minus(others),
            "the best source is subtracted: a source taken blindly is as good as their mean": (
                minus(lambda values, picked: float(values.max()))
            ),
            "nothing is subtracted: the mean of the fair sources": (
                minus(lambda values, picked: 0.0)
            ),
            "the source with the highest accuracy is picked, which is seen afterwards only: the "
            "most alike one": picking(lambda values, alike: float(values.max())),
            "the least alike source is picked": (
                picking(lambda values, alike: float(values[alike.argmin()]))
            ),
            "sources are weighted by likeness: one is picked": (
                picking(lambda values, alike: float((values * alike).sum() / alike.sum()))
            ),
            "a target with a single fair source counts, too, as a gain of 0: there is no choice, "
            "leave it out": lambda *args: _gain(*args, least=1),
            "targets without a choice count as a gain of 0: leave them out": zeros,
            "rows and columns are exchanged: for each *target*, a column, a source is picked": (
                by_source
            ),
            "the sign is turned round: the picked source minus the mean": (
                lambda *args: -_gain(*args)
            ),
            "these are points: a share is asked for, do not multiply by 100": (
                lambda *args: 100 * _gain(*args)
            ),
            "this is the sum over targets: their mean": (
                lambda v, alike, fair: _gain(v, alike, fair) * int((fair.sum(0) >= 2).sum())
            ),
        },
        where="For each target with two fair sources or more: the accuracy of the most alike of "
        "them, minus the mean of them; then the mean over those targets",
    )  # fmt: skip
    return "retrieval: the most alike fair source against one taken blindly"
