"""The checks of notebook 04: typical mistakes fail with their own hint, right answers pass."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
import torch
from scipy import stats

from labkit.course import checks


def block_orders(length, unit, count, seed, tear=False, repeats=False, identity=False, own=None):
    blocks = [list(range(i, i + unit)) for i in range(0, length, unit)]
    every = list(itertools.permutations(range(len(blocks))))
    random.Random(seed if own is None else own).shuffle(every)
    if not identity:
        every.remove(tuple(range(len(blocks))))
    else:
        every.remove(tuple(range(len(blocks))))
        every.insert(0, tuple(range(len(blocks))))
    chosen = [every[0]] * count if repeats else every[:count]
    orders = [[t for b in arranged for t in blocks[b]] for arranged in chosen]
    return [order[1:] + order[:1] for order in orders] if tear else orders


def lose_a_block(length, unit, count, seed):
    return [order[:-unit] + order[:unit] for order in block_orders(length, unit, count, seed)]


def always_as_many(length, unit, count, seed):
    orders = block_orders(length, unit, count, seed)
    return orders + orders[: count - len(orders)] if len(orders) < count else orders


def unseeded(length, unit, count, seed):
    return block_orders(length, unit, count, seed, own=random.random())


def matrix(score, prompt, orders):
    return torch.stack([score(prompt[list(order)]).argmax(-1) for order in orders])


def piled(score, prompt, orders):
    rows = []
    for order in orders:
        prompt = prompt[order]
        rows.append(score(prompt).argmax(-1))
    return torch.stack(rows)


def in_place(score, prompt, orders):
    kept, rows = prompt.clone(), []
    for order in orders:
        prompt.copy_(kept[order])
        rows.append(score(prompt).argmax(-1))
    return torch.stack(rows)


def mcnemar(a, b):
    a, b = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    first, second = int((a & ~b).sum()), int((b & ~a).sum())
    return stats.binomtest(first, first + second).pvalue if first + second else 1.0


def discordant(a, b):
    a, b = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    return int((a & ~b).sum()), int((b & ~a).sum())


def doubled_without_limit(a, b):
    first, second = discordant(a, b)
    return 2 * stats.binom.cdf(min(first, second), first + second, 0.5) if first + second else 1.0


def chi_square(a, b):
    first, second = discordant(a, b)
    return stats.chi2.sf((first - second) ** 2 / (first + second), 1)


def one_tail(a, b):
    first, second = discordant(a, b)
    return stats.binom.cdf(min(first, second), first + second, 0.5)


def all_answers(a, b):
    return stats.binomtest(int(np.sum(a)), int(np.sum(a)) + int(np.sum(b)), 0.5).pvalue


def change_the_table(vectors, table):
    with torch.no_grad():
        table[: len(vectors)] = 0.0
    return vectors + 0.0


RIGHT = {
    "orders": (checks.check_block_orders, block_orders),
    "orders as array": (checks.check_block_orders, lambda *a: np.array(block_orders(*a))),
    "matrix": (checks.check_prediction_matrix, matrix),
    "matrix in one call": (
        checks.check_prediction_matrix,
        lambda score, prompt, orders: (
            torch.stack([*map(score, prompt[torch.tensor(orders)])]).max(-1).indices
        ),
    ),
    "mcnemar": (checks.check_mcnemar, mcnemar),
    "mcnemar by the smaller count": (
        checks.check_mcnemar,
        lambda a, b: min(1.0, doubled_without_limit(a, b)),
    ),
    "positions": (checks.check_undo_positions, lambda v, t: v - t[: len(v)]),
    "positions by index": (
        checks.check_undo_positions,
        lambda v, t: torch.sub(v, t.index_select(0, torch.arange(v.shape[0]))),
    ),
}
WRONG = {
    "tear": (checks.check_block_orders, lambda *a: block_orders(*a, tear=True), "tears a block"),
    "lose": (checks.check_block_orders, lose_a_block, "lost or repeated"),
    "repeat": (checks.check_block_orders, lambda *a: block_orders(*a, repeats=True), "twice"),
    "identity": (
        checks.check_block_orders,
        lambda *a: block_orders(*a, identity=True),
        "leave it out",
    ),
    "too many": (checks.check_block_orders, always_as_many, "give all of them"),
    "unseeded": (checks.check_block_orders, unseeded, "same seed"),
    "scores": (
        checks.check_prediction_matrix,
        lambda s, p, orders: torch.stack([s(p[o]) for o in orders]),
        "these are the scores",
    ),
    "unshuffled": (
        checks.check_prediction_matrix,
        lambda s, p, orders: torch.stack([s(p).argmax(-1) for _ in orders]),
        "all rows are alike",
    ),
    "piled": (checks.check_prediction_matrix, piled, "the one before"),
    "inverse": (
        checks.check_prediction_matrix,
        lambda s, p, orders: matrix(s, p, [torch.tensor(o).argsort().tolist() for o in orders]),
        "backwards",
    ),
    "in place": (checks.check_prediction_matrix, in_place, "shuffle a copy"),
    "one tail": (checks.check_mcnemar, one_tail, "one tail"),
    "chi-square": (checks.check_mcnemar, chi_square, "chi-square"),
    "all answers": (checks.check_mcnemar, all_answers, "compares all right answers"),
    "above one": (checks.check_mcnemar, doubled_without_limit, "never above"),
    "sign": (checks.check_undo_positions, lambda v, t: v + t[: len(v)], "sign is wrong"),
    "position 0": (checks.check_undo_positions, lambda v, t: v - t[0], "position 0"),
    "nothing": (checks.check_undo_positions, lambda v, t: v + 0.0, "still depends"),
    "table": (checks.check_undo_positions, change_the_table, "table was changed"),
    "detached": (
        checks.check_undo_positions,
        lambda v, t: v.detach() - t[: len(v)],
        "no gradient",
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_solutions_pass(name, capsys):
    examine, solution = RIGHT[name]
    examine(solution)
    printed = capsys.readouterr().out
    assert printed.startswith("✓") and printed.count("\n") == 1


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_solution_fails_with_its_own_hint(name):
    examine, solution, hint = WRONG[name]
    with pytest.raises(AssertionError, match=hint):
        examine(solution)
