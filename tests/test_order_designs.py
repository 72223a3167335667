"""Designed orders: their distances are what was asked for, and effects are those put in."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from labkit.core.errors import LabError
from labkit.shuffle_probe import Shuffle, TokenPlaceEffects, discordant_share, mallows


def test_distance_is_kendalls() -> None:
    orders = Shuffle().draw(12, 40, seed=3)
    for order, share in zip(orders, discordant_share(orders), strict=True):
        tau = stats.kendalltau(np.arange(12), order).statistic
        assert share == pytest.approx((1 - tau) / 2)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5])
def test_orders_lie_as_far_as_asked(share: float) -> None:
    shares = discordant_share(mallows(20, share, 2000, seed=1))
    error = shares.std() / math.sqrt(len(shares))
    assert abs(shares.mean() - share) < 5 * error


def test_probabilities_are_mallows() -> None:
    """All orders of four tokens, counted against the definition."""
    drawn = mallows(4, 0.2, 60_000, seed=0)
    every = np.array(list(itertools.permutations(range(4))))
    pairs = np.rint(discordant_share(every) * 6)
    counts = np.array([(drawn == order).all(1).sum() for order in every])

    def chi(ratio: float) -> float:
        weights = ratio**pairs
        return stats.chisquare(counts, len(drawn) * weights / weights.sum()).statistic

    best = min(chi(ratio) for ratio in np.linspace(0.01, 0.99, 400))
    assert best < stats.chi2.ppf(0.9999, df=22)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [((1, 0.1, 5), "length=1"), ((5, 0.0, 5), "share=0.0"), ((5, 0.6, 5), "share=0.6"),
     ((5, 0.1, 0), "count=0")],
)  # fmt: skip
def test_refuses_what_cannot_be_drawn(arguments: tuple, named: str) -> None:
    with pytest.raises(LabError, match=named):
        mallows(*arguments)


def test_effects_put_in_come_out() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=(6, 6))
    orders = np.array([random.permutation(6) for _ in range(400)])
    values = 3 + truth[orders, np.arange(6)].sum(1)
    fitted = TokenPlaceEffects.fit(orders, values, ridge=1e-6)
    unseen = np.array([random.permutation(6) for _ in range(50)])
    assert fitted.predict(unseen) == pytest.approx(3 + truth[unseen, np.arange(6)].sum(1), abs=1e-3)
    every = np.array(list(itertools.permutations(range(6))))
    best = every[(truth[every, np.arange(6)].sum(1)).argmin()]
    assert fitted.lowest() == tuple(best)
    assert fitted.effects.sum(0) == pytest.approx(0, abs=1e-9)
    assert fitted.effects.sum(1) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("count", [20, 60])  # fewer orders than effects, and more
def test_the_ridge_is_that_of_the_regression(count: int) -> None:
    """Least squares with a row √ridge for each effect, and none for the intercept."""
    random, length, ridge = np.random.default_rng(1), 6, 4.0
    orders = np.array([random.permutation(length) for _ in range(count + 50)])
    stands = np.zeros((len(orders), length * length))
    for row, order in zip(stands, orders, strict=True):
        for place, token in enumerate(order):
            row[token * length + place] = 1
    values = 2 + random.normal(size=count)
    one = np.ones((count, 1))
    shrink = np.hstack([np.zeros((length**2, 1)), math.sqrt(ridge) * np.eye(length**2)])
    given = np.vstack([np.hstack([one, stands[:count]]), shrink])
    wanted = np.concatenate([values, np.zeros(length**2)])
    intercept, *effects = np.linalg.lstsq(given, wanted, rcond=None)[0]
    fitted = TokenPlaceEffects.fit(orders[:count], values, ridge=ridge)
    assert fitted.predict(orders[count:]) == pytest.approx(intercept + stands[count:] @ effects)


def test_effects_need_a_value_for_each_order() -> None:
    with pytest.raises(LabError, match="3 values for 4 orders"):
        TokenPlaceEffects.fit(Shuffle().draw(5, 4), [0.1, 0.2, 0.3])
