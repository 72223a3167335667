"""Checks of notebook 02_soft_prompt."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.checks.common import assert_shape, passed


@exercise
def check_prepend(prepend: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]) -> None:
    """``prepend``: prompt (P, D), embedded (B, T, D), mask (B, T) → (B, P+T, D), (B, P+T)."""
    random = torch.Generator().manual_seed(0)
    prompt = torch.randn(3, 4, generator=random, requires_grad=True)
    embedded = torch.randn(2, 5, 4, generator=random)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    inputs, longer = prepend(prompt, embedded, mask)
    assert_shape("the input", inputs, (2, 8, 4), "P + T positions for each of the B texts.")
    if tuple(longer.shape) == tuple(mask.shape):
        raise AssertionError(
            "the mask was not extended: the model would ignore the last three positions, which are "
            "text now; put ones for the virtual tokens in front of it"
        )
    assert_shape("the mask", longer, (2, 8), "P + T positions for each of the B texts.")
    if torch.equal(inputs[:, 5:], prompt.expand(2, 3, 4)):
        raise AssertionError("the prompt stands behind the text (and its padding): put it in front")
    assert torch.equal(inputs[:, :3], prompt.expand(2, 3, 4)), (
        "the first three rows of every text should be the prompt's, in order"
    )
    assert torch.equal(inputs[:, 3:], embedded), "the text's vectors should follow unchanged"
    assert not torch.equal(longer, torch.cat([mask, mask.new_ones(2, 3)], dim=1)), (
        "the ones stand behind the mask: the virtual tokens' go in front of the text's own mask"
    )
    assert torch.equal(longer[:, :3], torch.ones(2, 3, dtype=longer.dtype)), (
        "virtual tokens are to be attended to: their mask is 1"
    )
    assert torch.equal(longer[:, 3:], mask), "the text's own mask should follow unchanged"
    assert inputs.requires_grad, (
        "no gradient reaches the prompt: don't detach it, copy its values or use .data"
    )
    passed("prepended: vectors and mask, gradient intact")


@exercise
def check_sample_init(sample_init: Callable[[Tensor, int, int, int], Tensor]) -> None:
    """``sample_init``: table (V, D), length, common, seed → (P, D) rows of the first ``common``."""
    table = torch.arange(60.0).reshape(20, 3)
    start = sample_init(table, 6, 10, 0)
    assert_shape("the initial prompt", start, (6, 3), "One row per virtual token.")
    rows = [next((i for i in range(20) if torch.equal(table[i], row)), None) for row in start]
    assert None not in rows, "every row should be a row of the embedding table, unchanged"
    assert max(rows) < 10, f"row {max(rows)} was drawn, but only the first 10 entries are common"
    assert len(set(rows)) == 6, f"entries {rows} repeat: draw without repetition"
    assert torch.equal(sample_init(table, 6, 10, 0), start), "the same seed, the same prompt"
    assert any(not torch.equal(sample_init(table, 6, 10, s), start) for s in (1, 2, 3)), (
        "another seed should draw others"
    )
    before = table.clone()
    sample_init(table, 6, 10, 0).add_(1.0)
    assert torch.equal(table, before), (
        "changing the prompt changed the embedding table: return a copy"
    )
    passed("initialised: distinct common entries, seeded, a copy")


@exercise
def check_training_step(step: Callable[[nn.Parameter, nn.Module, Tensor, Tensor, float], float]):
    """``step``: prompt, frozen model, texts (B, T, D), targets (B,), lr → loss before the step."""
    torch.manual_seed(0)
    prompt = nn.Parameter(torch.randn(2, 4))
    model = nn.Sequential(nn.Flatten(), nn.Linear(20, 3)).requires_grad_(False)
    texts, targets = torch.randn(6, 3, 4), torch.tensor([0, 1, 2, 0, 1, 2])

    def loss_now() -> float:
        inputs = torch.cat([prompt.expand(6, -1, -1), texts], dim=1)
        return nn.functional.cross_entropy(model(inputs), targets).item()

    weights = [p.clone() for p in model.parameters()]
    start, before = prompt.detach().clone(), loss_now()
    reported = step(prompt, model, texts, targets, 0.05)
    assert not torch.equal(prompt.detach(), start), "the prompt has not moved: was the step taken?"
    same = all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))
    assert same, "the model's weights changed: give the optimizer (or the update) the prompt only"
    assert not any(p.requires_grad for p in model.parameters()), "the model was unfrozen: leave it"
    assert loss_now() < before, (
        f"the loss rose from {before:.3f} to {loss_now():.3f}: a step goes against the gradient"
    )
    assert abs(float(reported) - 6 * before) > 1e-4, (
        f"returned {float(reported):.3f}, six times {before:.3f}: take the mean over the batch"
    )
    assert abs(float(reported) - before) < 1e-5, (
        f"returned {float(reported):.3f}, expected the loss before the step, {before:.3f}"
    )
    first = prompt.detach().clone()
    step(prompt, model, texts, torch.tensor([2, 0, 1, 2, 0, 1]), 0.05)
    other = nn.Parameter(first.clone())
    step(other, model, texts, torch.tensor([2, 0, 1, 2, 0, 1]), 0.05)
    assert torch.allclose(prompt, other, atol=1e-6), (
        "the second step depends on the first one's gradient: set it to zero (or None) each time"
    )
    passed("one step: only the prompt moved, and the loss fell")


@exercise
def check_nearest(nearest: Callable[[Tensor, Tensor, int], Tensor]) -> None:
    """``nearest``: table (V, D), vectors (P, D), k → (P, k) ids by cosine, nearest first."""
    table = torch.tensor([[10.0, 0.0], [0.6, 0.8], [0.0, 0.1], [-3.0, -3.0], [5.0, 5.1]])
    vectors = torch.tensor([[1.0, 1.0], [0.0, 2.0]])
    ids = nearest(table, vectors, 2)
    assert_shape("the result", ids, (2, 2), "k ids for each of the P virtual tokens.")
    expected = torch.tensor([[4, 1], [2, 1]])
    cosines = torch.cosine_similarity(vectors[:, None], table[None], dim=-1)
    assert not torch.allclose(ids.double(), cosines.double().topk(2).values), (
        "these are the cosines: return the row numbers that go with them"
    )
    by_product = (vectors @ table.T).topk(2).indices
    by_distance = torch.cdist(vectors, table).topk(2, largest=False).indices
    if torch.equal(ids, by_product):
        raise AssertionError(
            "these are the largest products, which favour long vectors: divide by both lengths"
        )
    if torch.equal(ids, by_distance):
        raise AssertionError("these are the smallest distances: the cosine ignores lengths")
    if torch.equal(ids, cosines.argsort(dim=-1)[:, :2]):
        raise AssertionError("these have the smallest cosines: the nearest have the largest")
    if torch.equal(ids, expected.flip(1)):
        raise AssertionError("right ids, but the nearest should come first")
    assert torch.equal(ids, expected), f"got {ids.tolist()}, expected {expected.tolist()}"
    passed("nearest entries by cosine, nearest first")
