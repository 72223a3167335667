"""Checks of notebook 04_shuffle_probe."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.checks.common import assert_shape, passed


@exercise
def check_block_orders(block_orders: Callable[[int, int, int, int], Sequence]) -> None:
    """``block_orders``: length, unit, count, seed → distinct orders (R, length)."""
    orders = [list(map(int, order)) for order in block_orders(12, 3, 10, 0)]
    assert len(orders) == 10, f"{len(orders)} orders, asked for 10"
    for order in orders:
        assert sorted(order) == list(range(12)), (
            f"{order} does not name each of the tokens 0-11 once: a block was lost or repeated"
        )
        starts = [order[i : i + 3] for i in range(0, 12, 3)]
        assert all(b == list(range(b[0], b[0] + 3)) and b[0] % 3 == 0 for b in starts), (
            f"{order} tears a block apart: tokens 0-2, 3-5, 6-8 and 9-11 stay together, in order"
        )
    assert list(range(12)) not in orders, "the trained order is among them: leave it out"
    assert len({tuple(order) for order in orders}) == 10, (
        "an order comes up twice: draw without repetition"
    )
    every = block_orders(12, 4, 100, 0)
    assert len({tuple(map(int, order)) for order in every}) == len(every) == 5, (
        f"{len(every)} orders of three blocks: there are 3! - 1 = 5 new ones; where fewer exist "
        "than asked for, give all of them, once"
    )
    again = [list(map(int, order)) for order in block_orders(12, 3, 10, 0)]
    assert again == orders, "the same seed should give the same orders"
    passed("block orders: blocks whole, distinct, never the trained one, repeatable")


@exercise
def check_prediction_matrix(prediction_matrix: Callable[..., Tensor]) -> None:
    """``prediction_matrix``: score (P, D) → (N, C), prompt (P, D), orders → (R, N)."""
    random = torch.Generator().manual_seed(0)
    prompt = torch.randn(4, 3, generator=random)
    weights = torch.randn(4, 5, 2, generator=random)

    def score(vectors: Tensor) -> Tensor:
        """Scores (5, 2) that depend on which vector stands where."""
        return torch.einsum("p,pnc->nc", vectors.sum(1), weights)

    orders = [[1, 2, 3, 0], [2, 0, 3, 1], [3, 0, 1, 2]]
    before = prompt.clone()
    matrix = prediction_matrix(score, prompt, orders)
    assert torch.equal(prompt, before), "the trained prompt was changed: shuffle a copy"
    assert isinstance(matrix, Tensor), f"return a tensor, not {type(matrix).__name__}"
    seen = tuple(matrix.shape)
    assert seen != (3, 5, 2), "these are the scores: keep the class with the highest one"
    assert seen == (3, 5), f"shape {seen}, expected (3, 5): a row per order, a column per example"
    expected = torch.stack([score(prompt[order]).argmax(-1) for order in orders])
    one_after_the_other = [prompt]
    for order in orders:
        one_after_the_other.append(one_after_the_other[-1][order])
    piled = torch.stack([score(vectors).argmax(-1) for vectors in one_after_the_other[1:]])
    inverse = torch.stack([score(prompt[torch.tensor(o).argsort()]).argmax(-1) for o in orders])
    if not torch.equal(matrix, expected):
        assert not torch.equal(matrix, piled), (
            "each order was applied to the result of the one before: start from the trained prompt"
        )
        assert not torch.equal(matrix, inverse), (
            "the orders were applied backwards: entry i says which token comes to place i, so the "
            "shuffled prompt is prompt[order]"
        )
        same = (matrix == matrix[0]).all()
        assert not same, "all rows are alike: was the prompt shuffled before it was scored?"
    assert torch.equal(matrix, expected), f"got {matrix.tolist()}, expected {expected.tolist()}"
    passed("prediction matrix: one row per order, from the trained prompt each time")


@exercise
def check_mcnemar(mcnemar: Callable[[Sequence, Sequence], float]) -> None:
    """``mcnemar``: right or wrong (N,) twice → exact two-sided p-value."""
    a = np.array([1] * 9 + [0] * 1 + [1] * 40 + [0] * 10, dtype=bool)
    b = np.array([0] * 9 + [1] * 1 + [1] * 40 + [0] * 10, dtype=bool)
    p = float(mcnemar(a, b))
    by_hand = 2 * (1 + 10) / 2**10
    if abs(p - by_hand / 2) < 1e-9:
        raise AssertionError(
            f"{p:.4f} is one tail: an order may be better or worse, so both count (twice as much)"
        )
    chi = float(stats.chi2.sf((9 - 1) ** 2 / 10, 1))
    corrected = float(stats.chi2.sf((abs(9 - 1) - 1) ** 2 / 10, 1))
    if min(abs(p - chi), abs(p - corrected)) < 1e-9:
        raise AssertionError(
            f"{p:.4f} is the chi-square approximation; with ten discordant examples it is off: "
            "count the binomial exactly"
        )
    every = float(stats.binomtest(49, 49 + 41, 0.5).pvalue)
    assert abs(p - every) > 1e-9, (
        f"{p:.4f} compares all right answers: examples that both get right say nothing; count "
        "only those that exactly one gets right"
    )
    assert abs(p - by_hand) < 1e-9, f"p = {p:.6f}, expected {by_hand:.6f} for 9 against 1"
    assert abs(float(mcnemar(b, a)) - p) < 1e-12, "the test should not depend on who comes first"
    assert float(mcnemar(a, a)) == 1.0, "no discordant example at all: p = 1"
    assert float(mcnemar([1, 0], [0, 1])) == 1.0, "one against one: p = 1, and never above it"
    passed("McNemar: discordant examples only, exact, two-sided")


@exercise
def check_undo_positions(undo_positions: Callable[[Tensor, Tensor], Tensor]) -> None:
    """``undo_positions``: vectors (P, D), position table (M, D) → (P, D) to be fed instead."""
    import transformers

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=12,
    )  # fmt: skip
    model = transformers.BertModel(config).eval().requires_grad_(False)
    for weights in model.parameters():
        weights.mul_(10.0)  # larger than at the start of training, so that positions matter
    table = model.embeddings.position_embeddings.weight
    prompt = nn.Parameter(torch.randn(4, 16))
    words = model.get_input_embeddings().weight[:5]

    def answer(vectors: Tensor) -> Tensor:
        fed = torch.cat([vectors, words])[None]
        return model(inputs_embeds=fed).last_hidden_state[0, 4:]

    before = table.clone()
    undone = undo_positions(prompt, table)
    assert_shape("the result", undone, (4, 16), "One row per virtual token.")
    assert torch.equal(table, before), "the model's own table was changed: return new vectors"
    assert undone.requires_grad, "no gradient reaches the prompt: don't detach it"
    assert not torch.allclose(undone, prompt + table[:4]), (
        "the sign is wrong: the model adds the position once more; subtract it beforehand"
    )
    assert not torch.allclose(undone, prompt - table[0]), (
        "position 0 was subtracted from every row: row i stands at position i"
    )
    order = torch.tensor([2, 0, 3, 1])
    shuffled = answer(undo_positions(prompt[order], table))
    assert torch.allclose(shuffled, answer(undone), atol=1e-4), (
        "the answer still depends on the order of the virtual tokens: what the model adds at "
        "place i is row i of the table, whichever token stands there"
    )
    assert torch.allclose(undone, prompt - table[:4], atol=1e-6), (
        "subtract nothing but the positions: the words behind the prompt keep theirs"
    )
    passed("positions undone: every order gives the same answer")
