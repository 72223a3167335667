"""Checks of notebook 05_position_enhancement."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.checks.common import assert_shape, passed


@exercise
def check_sinusoids(sinusoids: Callable[[int, int], Tensor]) -> None:
    """``sinusoids``: length, width → (P, D), the printed equations 2 and 3."""
    table = sinusoids(5, 6)
    assert_shape("the table", table, (5, 6), "One row per place, one column per dimension.")
    zero = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    if torch.allclose(table[0], torch.cat([torch.zeros(3), torch.ones(3)])):
        raise AssertionError("sines and cosines stand in two halves: they take turns, 2i and 2i+1")
    assert torch.allclose(table[0], zero, atol=1e-6), (
        f"place 0 is {table[0].tolist()}, expected sin(0) and cos(0) in turn: count places from 0"
    )
    wave = 10_000.0
    by_hand = [math.sin(3 / wave ** (2 / 6)), math.cos(3 / wave ** (3 / 6))]
    if abs(table[3, 3].item() - math.cos(3 / wave ** (2 / 6))) < 1e-5:
        raise AssertionError(
            "these are the exponents of Vaswani et al. 2017, 2i/d in both; equation 3 prints "
            "(2i+1)/d for the cosine"
        )
    assert np.allclose(table[3, 2:4].tolist(), by_hand, atol=1e-5), (
        f"place 3, columns 2 and 3: {table[3, 2:4].tolist()}, expected {by_hand}: the angle is the "
        "place divided by 10000 to the power column/width"
    )
    odd = sinusoids(4, 5)
    assert_shape("the table of width 5", odd, (4, 5), "An odd width ends in a sine.")
    assert torch.allclose(sinusoids(9, 6)[:5], table, atol=1e-6), "a longer table starts the same"
    passed("sinusoids: places from 0, sines and cosines in turn, the printed exponents")


@exercise
def check_relative_scores(scores: Callable[[Tensor, Tensor], Tensor]) -> None:
    """``scores``: queries (P, d), table (2P−1, d) → (P, P); row j−i+P−1 for i looking at j."""
    random = torch.Generator().manual_seed(0)
    queries, table = torch.randn(4, 3, generator=random), torch.randn(7, 3, generator=random)
    found = scores(queries, table)
    assert_shape("the result", found, (4, 4), "One score for each pair of places.")
    if torch.allclose(found, _by_pairs(queries, table, lambda i, j: i - j)):
        raise AssertionError(
            "left and right are exchanged: the distance from i to j is j − i, positive to the right"
        )
    if torch.allclose(found, _by_pairs(queries, table, lambda i, j: j - i) / 3**0.5):
        raise AssertionError("divided by sqrt(d): equation 5 has no such factor")
    if torch.allclose(found, queries @ table[3:].T):
        raise AssertionError(
            "every place uses the same four rows of the table: which row counts depends on i and j"
        )
    expected = _by_pairs(queries, table, lambda i, j: j - i)
    assert torch.allclose(found, expected, atol=1e-5), (
        "wrong scores: (i, j) is the product of query i with the table's row j − i + P − 1"
    )
    passed("relative scores: each pair by its signed distance")


def _by_pairs(queries: Tensor, table: Tensor, distance: Callable[[int, int], int]) -> Tensor:
    count = len(queries)
    rows = [
        [(queries[i] * table[distance(i, j) + count - 1]).sum() for j in range(count)]
        for i in range(count)
    ]
    return torch.tensor(rows)


@exercise
def check_head(head: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> None:
    """``head``: queries, keys, values (P, d), relative scores (P, P) → (P, d)."""
    random = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(4, 3, generator=random) for _ in range(3))
    none = torch.zeros(4, 4)
    out = head(q, k, v, none)
    assert_shape("the result", out, (4, 3), "One mixture of values for each place.")
    if torch.allclose(out, ((q @ k.T) / 3**0.5).softmax(-1) @ v, atol=1e-5):
        raise AssertionError("divided by sqrt(d): equation 5 has no such factor")
    if torch.allclose(out, (q @ k.T).softmax(0) @ v, atol=1e-5):
        raise AssertionError(
            "the softmax runs over the places that ask: each place shares out its own attention, "
            "so take it over the last axis"
        )
    if torch.allclose(out, q @ k.T @ v, atol=1e-4):
        raise AssertionError("the weights are not normalised: take the softmax of the scores")
    low, high = v.min(0).values - 1e-5, v.max(0).values + 1e-5
    assert ((out >= low) & (out <= high)).all(), "each result should be a mean of the values"
    far = torch.full((4, 4), -1e9).masked_fill(torch.eye(4).bool().roll(1, 1), 0.0)
    assert torch.allclose(head(q, k, v, far), v.roll(-1, 0), atol=1e-5), (
        "relative scores that leave only the next place should give the next value: add them to "
        "the scores before the softmax"
    )
    assert torch.allclose(out, (q @ k.T).softmax(-1) @ v, atol=1e-5), (
        "wrong mixture: softmax(q · k + relative) · v"
    )
    passed("one head: scores without a factor, softmax over what is looked at, values mixed")


@exercise
def check_content_share(share: Callable[[Tensor, Tensor], float]) -> None:
    """``share``: content (P, D), what is added (P, D) → share of the sum's variance."""
    content = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    result = torch.as_tensor(share(content, 2 * content))
    assert result.numel() == 1, (
        f"a result of shape {tuple(result.shape)}: one number, over all entries of the matrix"
    )
    found = result.item()
    for value, hint in (
        (1 / 3, "this is a ratio of standard deviations: variances are their squares"),
        (1 / 4, "divided by the variance of what is added: divide by that of the sum"),
        (1 / 5, "two variances add up only if what they belong to is unrelated: add first"),
        (4 / 9, "this is the share of what was added: the content's is asked for"),
        (9, "upside down: the content stands above the line, the sum below it"),
    ):
        assert abs(found - value) > 1e-4, hint
    assert abs(found - 1 / 9) < 1e-4, (
        f"twice the content added to it: {found:.3f}, expected a ninth, since every entry is then "
        "three times as large"
    )
    offset = torch.as_tensor(share(content, torch.full_like(content, 5.0))).item()
    assert abs(offset - 1) < 1e-3, (
        f"the same number added everywhere gives {offset:.3f}, expected 1: it hides nothing; a "
        "variance is taken about the mean, a mean of squares is not"
    )
    passed("content's share: its variance over the variance of the sum")
