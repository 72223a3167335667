"""Designed orders: how far an order lies from the trained one is chosen, not left to chance.

Uniform random orders of twenty virtual tokens all lie about equally far from the trained order, so
they cannot say whether a longer way costs more. Mallows' orders are drawn at a distance:

    near = mallows(length=20, share=0.05, count=50, seed=0)      # 5 % of the pairs exchanged
    discordant_share(near).mean()

What every token contributes at every place is then read off scored orders by least squares, and
the best order under that reading is an assignment problem:

    effects = TokenPlaceEffects.fit(orders, losses)
    effects.lowest()                                            # the order of the lowest sum

Sources: Mallows 1957, sampled by repeated insertion (Doignon, Pekeč and Regenwetter 2004); Kuhn
1955 for the assignment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, linear_sum_assignment

from labkit.core.errors import LabError
from labkit.shuffle_probe.orders import Orders, checked, require_two

LARGEST_SHARE = 0.5
"""Expected share of discordant pairs of a uniform random order."""


def discordant_share(orders: Orders) -> NDArray[np.float64]:
    """Kendall's distance from the trained order as a share of all pairs: (R, P) → (R,) in 0 … 1.

    0 is the trained order, 1 its reversal, 0.5 what a uniform random order comes to on average.
    """
    orders = np.atleast_2d(orders)
    length = orders.shape[1]
    later, earlier = np.tril_indices(length, -1)
    return (orders[:, earlier] > orders[:, later]).mean(axis=1)


def mallows(length: int, share: float, count: int, seed: int = 0) -> Orders:
    """Orders drawn around the trained one: (R, P).

    P(order) ∝ q^(discordant pairs), with q such that ``share`` of the pairs are discordant on
    average. Orders may repeat, and the trained one may be among them: near it there are few others.

    Args:
        length: P; share: above 0, at most 0.5 (uniform); count: R.

    Raises:
        LabError: for a length below 2, a share out of range or a count below one.
    """
    require_two(length)
    if not 0 < share <= LARGEST_SHARE:
        raise LabError(
            f"share={share} of the pairs discordant is out of range; give more than 0 and at most "
            f"{LARGEST_SHARE} (uniform random orders)"
        )
    if count < 1:
        raise LabError(f"count={count}: draw at least one order")
    ratio = _ratio(length, share)
    random = np.random.default_rng(seed)
    steps = [_powers(ratio, places) for places in range(1, length + 1)]
    orders = np.empty((count, length), dtype=np.int64)
    for row in orders:
        order: list[int] = []
        for token, powers in enumerate(steps):
            overtaken = int(random.choice(token + 1, p=powers / powers.sum()))
            order.insert(token - overtaken, token)
        row[:] = order
    return orders


def _powers(ratio: float, places: int) -> NDArray[np.float64]:
    return np.power(ratio, np.arange(places), dtype=np.float64)


def _ratio(length: int, share: float) -> float:
    """q of Mallows' distribution whose expected share of discordant pairs is ``share``."""

    def excess(ratio: float) -> float:
        expected = 0.0
        for places in range(1, length + 1):  # token by token, the pairs it is exchanged in
            powers = _powers(ratio, places)
            expected += powers @ np.arange(places) / powers.sum()
        return expected / (length * (length - 1) / 2) - share

    if excess(1.0) <= 1e-12:
        return 1.0
    return float(brentq(excess, 0.0, 1.0, xtol=1e-12))


@dataclass(frozen=True)
class TokenPlaceEffects:
    """What each virtual token adds to the loss at each place, the rest being equal.

    Attributes:
        effects: (P, P) row: virtual token, column: place; rows and columns sum to 0.
        mean: value of a uniform random order.
    """

    effects: NDArray[np.float64]
    mean: float

    @classmethod
    def fit(cls, orders: Orders, values: ArrayLike, ridge: float = 1.0) -> TokenPlaceEffects:
        """Ridge regression of one value per order on "token t stands at place i".

        With few orders the ridge keeps effects near 0 where nothing was seen.

        Args:
            orders: (R, P); values: (R,), a loss, lower is better; ridge: weight of the squared
                effects, in orders.
        """
        values = np.asarray(values, dtype=np.float64)
        orders = checked(orders, np.shape(orders)[-1])
        if len(values) != len(orders):
            raise LabError(f"{len(values)} values for {len(orders)} orders; give one for each")
        count, length = orders.shape
        stands = np.zeros((count, length, length))  # (R, token, place)
        stands[np.arange(count)[:, None], orders, np.arange(length)] = 1.0
        design = stands.reshape(count, -1)  # (R, P²)
        design = design - design.mean(0)
        target = values - values.mean()
        if count < length**2:  # the smaller one of two systems with the same solution
            gram = design @ design.T + ridge * np.eye(count)
            effects = design.T @ np.linalg.solve(gram, target)
        else:
            gram = design.T @ design + ridge * np.eye(length**2)
            effects = np.linalg.solve(gram, design.T @ target)
        effects = effects.reshape(length, length)
        # every token stands somewhere, at every place stands one: only differences count
        effects = effects - effects.mean(0) - effects.mean(1, keepdims=True) + effects.mean()
        sums = effects[orders, np.arange(length)].sum(1)
        return cls(effects, float(values.mean() - sums.mean()))

    def predict(self, orders: Orders) -> NDArray[np.float64]:
        """Value of each order under the effects: (R, P) → (R,)."""
        orders = np.atleast_2d(orders)
        return self.mean + self.effects[orders, np.arange(orders.shape[1])].sum(1)

    def lowest(self) -> tuple[int, ...]:
        """The order with the lowest sum of effects."""
        places, tokens = linear_sum_assignment(self.effects.T)  # (place, token)
        return tuple(int(token) for token in tokens[np.argsort(places)])
