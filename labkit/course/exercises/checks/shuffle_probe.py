"""Checks of notebook 04_shuffle_probe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, arrives, compare, require
from labkit.course.exercises.guard import Guarded
from labkit.course.exercises.results import Tolerance
from labkit.course.exercises.show import shown

# ---- 4.1 ----


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
    return "block orders: blocks whole, distinct, never the trained one, repeatable"


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


# ---- 4.2 ----


class _Score:
    """Scores (N, C) that depend on which vector stands where."""

    def __init__(self, draw: Draw, length: int, rows: int, classes: int) -> None:
        self.weights = draw.normal(length, rows, classes)

    def __call__(self, vectors: Tensor) -> Tensor:
        return torch.einsum("p,pnc->nc", vectors.sum(1).to(self.weights), self.weights)


@exercise
def check_prediction_matrix(prediction_matrix: Guarded, draw: Draw) -> str:
    """``prediction_matrix``: score (P, D) → (N, C), prompt (P, D), orders → (R, N)."""
    shapes = [(4, 3, 5, 2, 3), (6, 2, 7, 4, 5), (3, 2, 1, 3, 2), (5, 3, 6, 2, 1), (4, 4, 4, 4, 4),
              (3, 2, 4, 300, 4)]  # fmt: skip
    cases = []
    for length, width, rows, classes, count in shapes:
        orders = [draw.order(length) for _ in range(count)]
        score = _Score(draw, length, rows, classes)
        cases.append((score, draw.normal(length, width), orders))
    cases[0][2][:] = [[1, 2, 3, 0], [2, 0, 3, 1], [3, 0, 1, 2]]

    def right(score, prompt, orders):
        rows = []
        for order in orders:
            scores = score(torch.stack([prompt[i] for i in order])).tolist()
            rows.append([max(range(len(row)), key=row.__getitem__) for row in scores])
        return torch.tensor(rows)

    def piled(score, prompt, orders):
        rows = []
        for order in orders:
            prompt = prompt[list(order)]
            rows.append(score(prompt).argmax(-1))
        return torch.stack(rows)

    def inverted(orders):
        return [torch.tensor(order).argsort().tolist() for order in orders]

    def scores(score, prompt, orders):
        return torch.stack([score(prompt[list(order)]) for order in orders])

    compare(
        prediction_matrix,
        cases,
        right,
        mistakes={
            "each order was applied to the result of the one before: start from the trained "
            "prompt": piled,
            "the orders were applied backwards: entry i says which token comes to place i, so the "
            "shuffled prompt is prompt[order]": lambda s, p, o: right(s, p, inverted(o)),
            "all rows are alike: was the prompt shuffled before it was scored?": (
                lambda s, p, o: right(s, p, [list(range(len(p)))] * len(o))
            ),
            "all rows are alike, those of the first order": (
                lambda s, p, o: right(s, p, [o[0]] * len(o))
            ),
            "all rows are alike, those of the last order": (
                lambda s, p, o: right(s, p, [o[-1]] * len(o))
            ),
            "only the last order is there: a row for each": lambda s, p, o: right(s, p, o[-1:]),
            "only the first order is there: a row for each": lambda s, p, o: right(s, p, o[:1]),
            "these are the scores: keep the class with the highest one": scores,
            "these are the highest scores: their class is asked for": (
                lambda s, p, o: scores(s, p, o).max(-1).values
            ),
            "these are the classes with the lowest score: take the highest": (
                lambda s, p, o: scores(s, p, o).argmin(-1)
            ),
            "argmax ran over the sentences: the classes are the last axis": (
                lambda s, p, o: scores(s, p, o).argmax(1)
            ),
            "argmax ran over the sentences: the classes are the last axis (1 of each (N, C))": (
                lambda s, p, o: torch.stack([s(p[list(x)]).argmax(0) for x in o])
            ),
            "a column per order, expected a row per order and a column per example": (
                lambda s, p, o: right(s, p, o).T
            ),
            "the columns of the prompt were shuffled: an order names its rows": (
                lambda s, p, o: torch.stack([s(p[:, list(x)]).argmax(-1) for x in o])
            ),
            "the rows stand in the order of the last order first": (
                lambda s, p, o: right(s, p, o[::-1])
            ),
            "the trained order has a row of its own in front: a row for each of the orders": (
                lambda s, p, o: right(s, p, [list(range(len(p))), *o])
            ),
            "only the first two classes are compared: any number of classes may come": (
                lambda s, p, o: scores(s, p, o)[..., :2].argmax(-1)
            ),
            "all rows are joined into one: a row per order": (
                lambda s, p, o: right(s, p, o).flatten()
            ),
            "only the first sentence is there: a column for each": (
                lambda s, p, o: right(s, p, o)[:, 0]
            ),
            "these are the mean scores: the class with the highest": (
                lambda s, p, o: scores(s, p, o).mean(-1)
            ),
            "these are the softmax of the scores: keep the class with the highest": (
                lambda s, p, o: scores(s, p, o).softmax(-1)
            ),
        },
        where="Row r holds the class with the highest of score(prompt[orders[r]]) for each "
        "sentence",
    )
    return "prediction matrix: one row per order, from the trained prompt each time"


# ---- 4.3 ----


def _discordant(a: Sequence, b: Sequence) -> tuple[int, int]:
    pairs = [(bool(x), bool(y)) for x, y in zip(a, b, strict=True)]
    return pairs.count((True, False)), pairs.count((False, True))


def _exact(a: Sequence, b: Sequence) -> float:
    first, second = _discordant(a, b)
    n = first + second
    tail = sum(math.comb(n, k) for k in range(min(first, second) + 1))
    return min(1.0, 2 * tail / 2**n)


def _results(first: int, second: int, both: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    a = [1] * first + [0] * second + [1] * both + [0] * neither
    b = [0] * first + [1] * second + [1] * both + [0] * neither
    return np.array(a, dtype=bool), np.array(b, dtype=bool)


@exercise
def check_mcnemar(mcnemar: Guarded, draw: Draw) -> str:
    """``mcnemar``: right or wrong (N,) twice → exact two-sided p-value."""
    counts = [(9, 1, 40, 10), (1, 9, 40, 10), (6, 0, 3, 2), (0, 6, 3, 2), (4, 4, 5, 5),
              (0, 0, 5, 3), (7, 2, 0, 0), (1, 1, 0, 0), (3, 8, 400, 10), (30, 12, 9, 9),
              (320, 290, 5, 9), (0, 1, 2, 2), (5, 6, 1, 0)]  # fmt: skip
    arrays = [_results(*each) for each in counts]
    for _ in range(4):
        size = draw.whole(5, 60)
        arrays.append(tuple(np.array(draw.uniform(size) < share) for share in (0.7, 0.5)))
    mixed = draw.order(60)
    arrays[0] = tuple(part[mixed] for part in arrays[0])
    cases: list[tuple] = list(arrays)
    cases += [tuple(part.astype(int).tolist() for part in pair) for pair in arrays[:4]]
    cases += [tuple(part.tolist() for part in pair) for pair in arrays[5:8]]
    cases += [tuple(part.astype(np.int64) for part in pair) for pair in arrays[2:4]]

    def from_counts(formula) -> Any:
        return lambda a, b: float(formula(*_discordant(a, b)))

    def one_tail(b, c):
        return stats.binom.cdf(min(b, c), b + c, 0.5)

    def chi(b, c, less=0):
        return stats.chi2.sf(max(abs(b - c) - less, 0) ** 2 / (b + c), 1) if b + c else 1.0

    def mid(b, c):
        if b + c == 0:
            return 1.0
        return min(1, 2 * one_tail(b, c) - stats.binom.pmf(min(b, c), b + c, 0.5))

    def over_all(a, b):
        first, second = int(np.sum(a)), int(np.sum(b))
        if first + second == 0:
            return 1.0
        return float(stats.binomtest(first, first + second, 0.5).pvalue)

    def among_all(a, b):
        first, second = _discordant(a, b)
        return min(1.0, 2 * float(stats.binom.cdf(min(first, second), len(a), 0.5)))

    compare(
        mcnemar,
        cases,
        _exact,
        tolerance=Tolerance(1e-7, 1e-12),
        mistakes={
            "this is one tail: an order may be better or worse, so both count (twice as much)": (
                from_counts(one_tail)
            ),
            "this is one tail, up to b (the first order's): take the smaller of b and c, twice": (
                from_counts(lambda b, c: stats.binom.cdf(b, b + c, 0.5))
            ),
            "this is one tail, up to c (the second order's): take the smaller of b and c, twice": (
                from_counts(lambda b, c: stats.binom.cdf(c, b + c, 0.5))
            ),
            "the result depends on who comes first: take the smaller of b and c": (
                from_counts(lambda b, c: min(1, 2 * stats.binom.cdf(b, b + c, 0.5)))
            ),
            "the result depends on who comes first (up to c): take the smaller of b and c": (
                from_counts(lambda b, c: min(1, 2 * stats.binom.cdf(c, b + c, 0.5)))
            ),
            "the sum goes up to the larger of b and c: take the smaller": (
                from_counts(lambda b, c: min(1, 2 * stats.binom.cdf(max(b, c), b + c, 0.5)))
            ),
            "the sum stops one too early: k runs up to the smaller of b and c, with it": (
                from_counts(lambda b, c: min(1, 2 * stats.binom.cdf(min(b, c) - 1, b + c, 0.5)))
            ),
            "this is the chance of exactly that many: sum up to it": (
                from_counts(lambda b, c: min(1, 2 * stats.binom.pmf(min(b, c), b + c, 0.5)))
            ),
            "above 1: the probability is never above it, take the smaller of 1 and the sum": (
                from_counts(lambda b, c: 2 * one_tail(b, c))
            ),
            "above 1 where no sentence differs or both differ as often: never above it": (
                from_counts(lambda b, c: 2 * one_tail(b, c) if b + c else 1.0)
            ),
            "where no sentence differs p is 1": (
                from_counts(lambda b, c: min(1.0, 2 * one_tail(b, c)) if b + c else 0.0)
            ),
            "where no sentence differs p is 1, not nan": (
                from_counts(lambda b, c: min(1.0, 2 * one_tail(b, c)) if b + c else math.nan)
            ),
            "this is the chi-square approximation; with few discordant examples it is off: count "
            "the binomial exactly": from_counts(chi),
            "this is the chi-square approximation, corrected for continuity; count the binomial "
            "exactly": from_counts(lambda b, c: chi(b, c, 1)),
            "this is the mid-p value: the formula above has the whole last term": from_counts(mid),
            "all right answers are compared: examples that both get right say nothing; count only "
            "those that exactly one gets right": over_all,
            "all N sentences are tossed: only the b + c that exactly one gets right count": (
                among_all
            ),
            "sentences on which the two agree are counted: only those that one alone gets right": (
                lambda a, b: float(
                    stats.binomtest(
                        sum(bool(x) == bool(y) for x, y in zip(a, b, strict=True)), len(a)
                    ).pvalue
                )
            ),
            "this is a paired t test: count the binomial exactly": lambda a, b: float(
                stats.ttest_rel(np.asarray(a, float), np.asarray(b, float)).pvalue
            ),
            "this is 1 minus the p-value": lambda a, b: 1 - _exact(a, b),
        },
        where="b and c count the sentences that only one order gets right; p is twice the sum of "
        "the binomial's terms up to the smaller, at most 1",
    )
    return "McNemar: discordant examples only, exact, two-sided"


# ---- 4.4 ----


@exercise
def check_undo_positions(undo_positions: Guarded, draw: Draw) -> str:
    """``undo_positions``: vectors (P, D), position table (M, D) → (P, D) to be fed instead."""
    shapes = [(4, 12, 16), (3, 10, 4), (1, 5, 3), (5, 5, 5), (6, 300, 2), (2, 40, 7)]
    cases = [(draw.normal(p, d), draw.normal(m, d)) for p, m, d in shapes]
    cases[1] = (torch.ones(3, 4), torch.arange(40.0).reshape(10, 4))

    def right(vectors: Tensor, table: Tensor) -> Tensor:
        return torch.stack([vector - table[place] for place, vector in enumerate(vectors)])

    compare(
        undo_positions,
        cases,
        right,
        mistakes={
            "the sign is wrong: the model adds the position once more; subtract it beforehand": (
                lambda v, t: v + t[: len(v)]
            ),
            "the sign is wrong on both: the position is taken away from the vector": (
                lambda v, t: t[: len(v)] - v
            ),
            "position 0 was subtracted from every row: row i stands at position i": (
                lambda v, t: v - t[0]
            ),
            "the mean position was subtracted from every row: row i stands at position i": (
                lambda v, t: v - t.mean(0)
            ),
            "the mean of the first positions was subtracted: row i stands at position i": (
                lambda v, t: v - t[: len(v)].mean(0)
            ),
            "the positions begin at 1: place 0 is the first row of the table": (
                lambda v, t: v - t[1 : len(v) + 1]
            ),
            "the last rows of the table were subtracted: the prompt stands at its first places": (
                lambda v, t: v - t[-len(v) :]
            ),
            "the positions run backwards: row i stands at position i": (
                lambda v, t: v - t[: len(v)].flip(0)
            ),
            "nothing is taken away, so the answer still depends on the order of the virtual "
            "tokens": lambda v, t: v,
            "only the first row loses its position: row i loses row i of the table": (
                lambda v, t: torch.cat([v[:1] - t[:1], v[1:]])
            ),
            "the position was subtracted twice": lambda v, t: v - 2 * t[: len(v)],
            "half of the position was subtracted": lambda v, t: v - t[: len(v)] / 2,
            "these are the positions: take them away from the vectors": lambda v, t: t[: len(v)],
        },
        where="Row i of the result is row i of the vectors minus row i of the table",
    )
    for args in cases[:2]:
        arrives(undo_positions, args, 0, right, draw)
    _same_answer_in_a_bert(undo_positions, draw)
    return "positions undone: every order gives the same answer"


def _same_answer_in_a_bert(undo_positions: Guarded, draw: Draw) -> None:
    import transformers

    torch.manual_seed(draw.number)
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=12,
    )  # fmt: skip
    model = transformers.BertModel(config).eval().requires_grad_(False)
    for weights in model.parameters():
        weights.mul_(10.0)  # larger than at the start of training, so that positions matter
    table = model.embeddings.position_embeddings.weight
    prompt = nn.Parameter(draw.normal(4, 16))
    words = model.get_input_embeddings().weight[:5]

    def answer(vectors: Tensor) -> Tensor:
        fed = torch.cat([torch.as_tensor(vectors), words])[None]
        return model(inputs_embeds=fed).last_hidden_state[0, 4:]

    shuffled = answer(undo_positions(prompt[torch.tensor([2, 0, 3, 1])], table))
    require(
        torch.allclose(shuffled, answer(undo_positions(prompt, table)), atol=1e-4),
        "the model's answer still depends on the order of the virtual tokens: what it adds at "
        "place i is row i of the table, whichever token stands there",
    )
