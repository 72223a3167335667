"""Orders of virtual tokens: drawn at random, kept in part, or named.

    shuffled = Shuffle().draw(length=20, count=200, seed=0)      # (200, 20), distinct

Source: Liu, Cheng and Liu 2024, section 2 (tables 1–3).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labkit.core.errors import LabError

FEW = 5040
"""Up to this many orders are listed and drawn from; of more, distinct ones are drawn at random."""

Orders = NDArray[np.int64]
"""(R, P): row r is the order in which the P virtual tokens stand; entry i is which one is i-th."""


@dataclass(frozen=True)
class Shuffle:
    """Which virtual tokens may change places.

    Attributes:
        unit: virtual tokens that stay together, in blocks counted from the first one that moves;
            where the length is no multiple of it, the last block is shorter.
        fixed: (first, last) virtual tokens kept in place, counted from 0, both included, as in the
            paper's table 3; the others are shuffled.
    """

    unit: int = 1
    fixed: tuple[int, int] | None = None

    def blocks(self, length: int) -> list[list[int]]:
        """The blocks that change places, as lists of virtual tokens.

        Raises:
            LabError: for a unit or a fixed part that leaves nothing to shuffle.
        """
        if self.unit < 1:
            raise LabError(f"unit={self.unit}: a block has at least one virtual token")
        require_two(length)
        moving = [i for i in range(length) if not self._is_fixed(i, length)]
        blocks = [moving[i : i + self.unit] for i in range(0, len(moving), self.unit)]
        if len(blocks) < 2:
            kept = "" if self.fixed is None else " with {}-{} fixed".format(*self.fixed)
            raise LabError(
                f"a prompt of {length} virtual tokens in blocks of {self.unit}{kept} has no other "
                "order; take shorter blocks, or fix fewer"
            )
        return blocks

    def available(self, length: int) -> int:
        """How many distinct orders there are besides the trained one."""
        return math.factorial(len(self.blocks(length))) - 1

    def draw(self, length: int, count: int, seed: int = 0) -> Orders:
        """Distinct orders, never the trained one: (R, P), R = count or all that there are.

        Args:
            length: P, virtual tokens of the prompt.

        Raises:
            LabError: for fewer orders than one, or a prompt that has no other.
        """
        if count < 1:
            raise LabError(f"permutations={count}: draw at least one order")
        blocks = self.blocks(length)
        random = np.random.default_rng(seed)
        places = _distinct(len(blocks), min(count, self.available(length)), random)
        return np.array([self._laid(blocks, row, length) for row in places])

    def _laid(self, blocks: list[list[int]], arranged: Sequence[int], length: int) -> list[int]:
        """Blocks in a new arrangement, in the places that the moving tokens leave."""
        moved = iter(token for block in arranged for token in blocks[block])
        return [i if self._is_fixed(i, length) else next(moved) for i in range(length)]

    def _is_fixed(self, index: int, length: int) -> bool:
        if self.fixed is None:
            return False
        first, last = self.fixed
        if not 0 <= first <= last < length:
            raise LabError(
                f"fixed part {first}-{last}: a prompt of {length} has the virtual tokens "
                f"0-{length - 1}"
            )
        return first <= index <= last

    def __str__(self) -> str:
        unit = "single virtual tokens" if self.unit == 1 else f"blocks of {self.unit}"
        return unit if self.fixed is None else "{}, {}-{} fixed".format(unit, *self.fixed)


def require_two(length: int) -> None:
    """Raise LabError for fewer virtual tokens than can change places."""
    if length < 2:
        raise LabError(
            f"length={length}: fewer than 2 virtual tokens have no other order; take a longer "
            "prompt"
        )


def reversal(length: int) -> Orders:
    """The trained order backwards: (1, P)."""
    require_two(length)
    return np.arange(length)[::-1][None].copy()


def rotations(length: int) -> Orders:
    """Every shift by 1 … P−1 places: (P−1, P)."""
    require_two(length)
    return np.stack([np.roll(np.arange(length), shift) for shift in range(1, length)])


def swaps(length: int) -> Orders:
    """Every exchange of two virtual tokens: (P(P−1)/2, P), pairs as `itertools.combinations`."""
    require_two(length)
    orders = np.tile(np.arange(length), (math.comb(length, 2), 1))
    for row, (i, j) in enumerate(itertools.combinations(range(length), 2)):
        orders[row, [i, j]] = j, i
    return orders


NAMED = {"reversal": reversal, "rotations": rotations, "swaps": swaps}


def _distinct(count: int, wanted: int, random: np.random.Generator) -> list[tuple[int, ...]]:
    """``wanted`` distinct permutations of ``count`` things, the identity left out."""
    identity = tuple(range(count))
    if math.factorial(count) <= FEW:
        others = [p for p in itertools.permutations(range(count)) if p != identity]
        chosen = random.permutation(len(others))[:wanted]
        return [others[i] for i in chosen]
    drawn: dict[tuple[int, ...], None] = {}
    while len(drawn) < wanted:
        permutation = tuple(random.permutation(count).tolist())
        if permutation != identity:
            drawn[permutation] = None
    return list(drawn)


def checked(orders: Orders, length: int) -> Orders:
    """The orders as an array, each a permutation of the prompt's virtual tokens: (R, P)."""
    orders = np.asarray(orders)
    if orders.ndim != 2 or not len(orders) or orders.shape[1] != length:
        raise LabError(
            f"orders of shape {orders.shape}: give (R, {length}), one row per order of the "
            f"prompt's {length} virtual tokens"
        )
    if not (np.sort(orders, axis=1) == np.arange(length)).all():
        raise LabError(f"an order must name each of the virtual tokens 0-{length - 1} once")
    return orders.astype(np.int64)
