"""Exercise 4.1: the check of ``block_orders``."""

from __future__ import annotations

import math
import tracemalloc

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, require
from labkit.course.exercises.guard import CheckFailed, Guarded, OwnError
from labkit.course.exercises.show import shown


@exercise(
    overtime="still drawing: how many orders exist? Of three blocks there are 3! - 1 = 5 new ones, "
    "and no more can be found"
)
def check_block_orders(block_orders: Guarded, draw: Draw) -> str:
    """``block_orders``: length, unit, count, seed → distinct orders (R, length)."""
    start = draw.whole(0, 999)
    drawn: dict[int, list] = {}
    for seed in (start, start + 1, start + 2, start, start + 1):
        orders = _orders(block_orders, 12, 3, 10, seed)
        if seed in drawn:
            require(
                drawn[seed] == orders,
                f"the same seed should give the same orders: seed {seed} gave first "
                f"{drawn[seed][0]} and then {orders[0]}",
            )
        drawn[seed] = orders
    chosen = {tuple(map(tuple, sorted(orders))) for orders in drawn.values()}
    require(
        len({tuple(map(tuple, orders)) for orders in drawn.values()}) > 1,
        "another seed should give other orders: `seed` makes no difference",
    )
    require(len(chosen) > 1, "another seed should give other orders, not the same ones mixed")
    for length, unit, count in (
        (12, 4, 100), (12, 4, 5), (8, 2, 1000), (5, 1, 500), (6, 1, 719), (4, 2, 3), (6, 6, 4),
        (8, 1, 50), (100, 20, 200), (7, 1, 1), (9, 3, 2), (28, 4, 30), (2400, 300, 3),
    ):  # fmt: skip
        _orders(block_orders, length, unit, count, start + 7)
    first = {tuple(_orders(block_orders, 4, 1, 1, seed)[0]) for seed in range(200)}
    require(
        len(first) > 15,
        f"over 200 seeds the first of the 23 orders of four tokens is one of {len(first)}: each "
        "should come up",
    )
    among = _orders(block_orders, 8, 1, 50, start)
    still = [place for place, tokens in enumerate(zip(*among, strict=True)) if len({*tokens}) < 3]
    require(
        not still,
        f"in 50 of the 40,319 orders of eight tokens, place {still[:1]} hardly ever changes: draw "
        "each order anew, and not neighbours in a list of all orders",
    )
    _refuse_a_list_of_all(block_orders, start)
    return "block orders: blocks whole, distinct, never the trained one, repeatable"


_MOST_MB = 8.0
"""Of nine blocks there are 362,879 new orders; their list takes 40 MB, three of them hardly any."""


def _refuse_a_list_of_all(block_orders: Guarded, seed: int) -> None:
    """Few orders of many blocks.

    Nine blocks come before twenty: what lists all orders would fill the memory with those of
    twenty, in one call of C that no signal ends.
    """
    block_orders.overtime = "are all orders gone through? Draw only those that are asked for"
    tracemalloc.start()
    try:
        _orders(block_orders, 9, 1, 3, seed)
        most = tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
    require(
        most < _MOST_MB,
        f"three orders of nine blocks take {most:.0f} MB of memory: is a list of all 362,879 made? "
        "Of twenty blocks there are more than 10^18, so draw only those that are asked for",
    )
    try:
        _orders(block_orders, 20, 1, 200, seed)
    except OwnError as error:
        raise CheckFailed(f"twenty blocks have more than 10^18 orders: {error}") from None


def _orders(
    block_orders: Guarded, length: int, unit: int, count: int, seed: int
) -> list[list[int]]:
    call = f"block_orders(length={length}, unit={unit}, count={count}, seed={seed})"
    result = block_orders(length, unit, count, seed)
    require(result is not None, "nothing comes back (None): is the `return` missing?")
    require(
        hasattr(result, "__len__") and not isinstance(result, dict | str),
        f"a {type(result).__name__} comes back: give a list with an entry for each order",
    )
    try:
        orders = [[int(token) for token in order] for order in result]
    except (TypeError, ValueError):
        require(
            False, f"{call}: {shown(result)} is no list of orders, each a list of token numbers"
        )
    blocks = length // unit
    exist = math.factorial(blocks) - 1
    wanted = min(count, exist)
    sizes = {len(order) for order in orders} - {length}
    require(
        sizes != {blocks} or unit == 1,
        f"{call}: orders of {blocks} numbers come back, those of the blocks; write each block's "
        f"{unit} tokens out",
    )
    for order in orders:
        require(
            sorted(order) == list(range(length)),
            f"{call}: {shown(order)} does not name each of the tokens 0-{length - 1} once: a block "
            "was lost or repeated",
        )
        cut = [order[i : i + unit] for i in range(0, length, unit)]
        whole = all(b[0] % unit == 0 and b == list(range(b[0], b[0] + unit)) for b in cut)
        backwards = all(b[::-1] == list(range(b[-1], b[-1] + unit)) for b in cut)
        why = "the tokens of a block run backwards" if backwards and not whole else ""
        require(
            whole,
            f"{call}: {shown(order)} tears a block apart{': ' + why if why else ''}; blocks of "
            f"{unit}, such as {list(range(unit))[:4]}, stay together, in order",
        )
    trained = list(range(length))
    require(
        trained not in orders,
        f"{call}: the trained order {shown(trained)} is among them: leave it out",
    )
    distinct = len({tuple(order) for order in orders})
    enough = "" if count <= exist else (
        f"; there are {blocks}! - 1 = {exist} new ones: where fewer exist than asked for, give "
        "all of them, once"
    )  # fmt: skip
    require(
        distinct == len(orders),
        f"{call}: an order comes up twice, {distinct} of {len(orders)} are different"
        f"{enough or ': draw without repetition'}",
    )
    require(len(orders) == wanted, f"{call}: {len(orders)} orders, expected {wanted}{enough}")
    return orders
