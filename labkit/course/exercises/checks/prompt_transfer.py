"""Checks of notebook 08_prompt_transfer."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.checks.common import assert_shape, passed


@exercise
def check_task_similarity(similarity: Callable[[Tensor, Tensor], float]) -> None:
    """``similarity``: prompts (P, D) and (Q, D) → cosine of their mean virtual tokens."""
    random = torch.Generator().manual_seed(0)
    a, b = torch.randn(4, 6, generator=random), torch.randn(7, 6, generator=random)
    try:
        found = float(similarity(a, b))
    except RuntimeError as error:
        raise AssertionError(
            "prompts of 4 and of 7 virtual tokens can't be compared: average over the tokens "
            "first, then both are one row of width D"
        ) from error
    one, other = a.mean(0), b.mean(0)
    cosine = float(one @ other / (one.norm() * other.norm()))
    pairs = nn.functional.normalize(a, dim=-1) @ nn.functional.normalize(b, dim=-1).T
    if abs(found - float(pairs.mean())) < 1e-5:
        raise AssertionError(
            "this is the mean of all pairwise cosines: take the means first, then one cosine"
        )
    if abs(found - float(one @ other)) < 1e-5:
        raise AssertionError("the product is not divided by the two lengths: it is no cosine yet")
    assert abs(float(similarity(a, 3 * b)) - found) < 1e-5, (
        "three times a prompt should be just as alike: a cosine looks at the direction only"
    )
    assert abs(float(similarity(a, b.flip(0))) - found) < 1e-5, (
        "the order of the virtual tokens should not matter: average over them first"
    )
    assert abs(found - cosine) < 1e-5, (
        f"{found:.3f}, expected {cosine:.3f}: average over the virtual tokens (the rows), then "
        "take the cosine"
    )
    passed("task similarity: one direction per prompt, any length, any order")


@exercise
def check_average_start(average: Callable[[list[Tensor], list[float], int], Tensor]) -> None:
    """``average``: prompts, their similarities, k → weighted mean of the k most alike (P, D)."""
    random = torch.Generator().manual_seed(0)
    prompts = [torch.randn(3, 4, generator=random) for _ in range(4)]
    alike = [0.1, 0.6, -0.5, 0.2]
    before = [prompt.clone() for prompt in prompts]
    found = average(prompts, alike, 2)
    assert_shape("the result", found, (3, 4), "One prompt, not one per source.")
    assert all(torch.equal(p, q) for p, q in zip(prompts, before, strict=True)), (
        "a source prompt was changed: make a new tensor"
    )
    expected = 0.75 * prompts[1] + 0.25 * prompts[3]
    if torch.allclose(found, (prompts[0] + prompts[1]) / 2, atol=1e-5) or torch.allclose(
        found, (0.1 * prompts[0] + 0.6 * prompts[1]) / 0.7, atol=1e-5
    ):
        raise AssertionError("these are the first k prompts of the list, not the k most alike")
    if torch.allclose(found, 0.6 * prompts[1] + 0.2 * prompts[3], atol=1e-5):
        raise AssertionError(
            "the weights sum to 0.8: divide by their sum, or the start shrinks towards zero"
        )
    if torch.allclose(found, (prompts[1] + prompts[3]) / 2, atol=1e-5):
        raise AssertionError("all k count the same: weight each by its similarity")
    if torch.allclose(found, (0.1 * prompts[0] - 0.5 * prompts[2]) / -0.4, atol=1e-5):
        raise AssertionError("the least alike were taken: sort from high to low")
    assert torch.allclose(found, expected, atol=1e-5), (
        "wrong mean: of the k most alike prompts, Σ similarity · prompt / Σ similarity"
    )
    assert torch.allclose(average(prompts, alike, 1), prompts[1], atol=1e-6), (
        "with k = 1 this is the most similar prompt itself"
    )
    passed("average start: the k most alike, weights that sum to one")


@exercise
def check_overlap(overlap: Callable[[Tensor, Tensor], float]) -> None:
    """``overlap``: two sets of active neurons (N,) bool → |A ∩ B| / sqrt(|A| · |B|)."""
    a = torch.tensor([1, 1, 1, 1, 0, 0, 0, 0], dtype=torch.bool)
    b = torch.tensor([0, 0, 0, 1, 0, 0, 0, 0], dtype=torch.bool)
    found = float(overlap(a, b))
    hints = {
        0.25: "divided by the larger set, or by the union: divide by sqrt(|A| · |B|)",
        1.0: "divided by the smaller set: then a set within another overlaps fully",
        5 / 8: "neurons that are off in both count as well: only those active in both should",
        1 / 8: "divided by all neurons: divide by sqrt(|A| · |B|)",
    }
    for value, hint in hints.items():
        assert abs(found - value) > 1e-6, hint
    assert abs(found - 0.5) < 1e-6, f"{found:.3f}, expected 1 / sqrt(4 · 1) = 0.5"
    assert abs(float(overlap(a, a)) - 1) < 1e-6, "a set should overlap fully with itself"
    nothing = torch.zeros(8, dtype=torch.bool)
    try:
        empty = float(overlap(a, nothing))
    except ZeroDivisionError:
        empty = math.nan
    assert empty == 0, "where no neuron is active the overlap is 0, not a division by zero"
    passed("overlap: the cosine of two sets of neurons")


@exercise
def check_next_pairs(pairs: Callable[[dict[str, list[tuple[int, str]]], int], list]) -> None:
    """``pairs``: document → (place, sentence) in order; seed → (first, second, label) triples."""
    text = {
        "1": [(1, "1.1"), (2, "1.2"), (3, "1.3"), (5, "1.5"), (6, "1.6")],
        "2": [(1, "2.1"), (2, "2.2"), (4, "2.4")],
        "3": [(2, "3.2")],
    }
    following = {("1.1", "1.2"), ("1.2", "1.3"), ("1.5", "1.6"), ("2.1", "2.2")}
    made = pairs(text, 0)
    assert made and all(len(row) == 3 for row in made), (
        "give a list of triples: first sentence, second sentence, label"
    )
    labels = {label for _, _, label in made}
    assert labels <= {"next", "other"}, f"labels {sorted(labels)}: use 'next' and 'other'"
    positive = [(first, second) for first, second, label in made if label == "next"]
    negative = [(first, second) for first, second, label in made if label == "other"]
    gap = [p for p in positive if p not in following and p[0][0] == p[1][0]]
    assert not gap, (
        f"{gap[0][0]} and {gap[0][1]} are not neighbours: a sentence in between is missing, so "
        "compare the places, not the positions in the list"
    )
    crossing = [p for p in positive if p not in following]
    assert not crossing, f"{crossing[0]} are of two documents: don't pair across a document's end"
    assert set(positive) == following, f"missing: {sorted(following - set(positive))}"
    near = [p for p in negative if p[0][0] == p[1][0]]
    assert not near, f"{near[0]} are of one document: 'other' takes the second from another one"
    assert len(negative) == len(positive), (
        f"{len(positive)} 'next' and {len(negative)} 'other': as many of each, or the larger class "
        "is a good guess"
    )
    assert sorted(first for first, _ in negative) == sorted(first for first, _ in positive), (
        "the same first sentences should stand in both classes: else the first one alone tells"
    )
    assert pairs(text, 0) == made, "the same seed should give the same pairs"
    assert any(pairs(text, seed) != made for seed in (1, 2, 3)), "the seed is not used"
    passed("next-sentence pairs: neighbours only, as many from elsewhere, repeatable")
