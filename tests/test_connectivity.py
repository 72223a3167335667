"""Prompts on the line between them, and tokens matched by assignment."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from labkit import experiments
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel
from labkit.core.tuning import fit
from labkit.experiments import connectivity
from labkit.experiments.base import runner
from labkit.experiments.base.recipe import RECIPES
from labkit.prompt_transfer.connectivity import (
    POINTS,
    barrier,
    deviation,
    losses_along,
    matched,
)
from labkit.soft_prompt import SoftPrompt


def test_no_matching_lies_nearer():
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        a, b = (torch.randn(6, 4, generator=generator) for _ in range(2))
        best = min(
            itertools.permutations(range(6)), key=lambda order: (a - b[list(order)]).square().sum()
        )
        assert matched(a, b) == list(best)


def test_a_prompt_in_another_order_is_found_again():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(20, 8, generator=generator)
    order = torch.randperm(20, generator=generator)
    moved = rows[order] + 0.01 * torch.randn(20, 8, generator=generator)
    assert order[matched(rows, moved)].tolist() == list(range(20))
    with pytest.raises(LabError, match="can't be matched"):
        matched(rows, rows[:5])
    with pytest.raises(LabError, match="NaN or infinite"):
        matched(rows, rows / 0)
    with pytest.raises(LabError, match="between its ends"):
        deviation(np.array([0.1, 0.2]), (0.0, 1.0))


def test_losses_are_those_of_the_prompts_in_between(tiny_backbone, tiny_task):
    backbone = tiny_backbone("llama")
    model = PromptedModel.for_task(backbone, tiny_task)
    a, b = (SoftPrompt.from_uniform(backbone, 5, seed=s)().detach() for s in (0, 1))
    examples = tiny_task.split("test")
    targets = torch.tensor([example.label for example in examples])
    along = losses_along(model, a, b, tiny_task, examples)
    for point, losses in zip(POINTS, along, strict=True):
        scores = model.scores(SoftPrompt((1 - point) * a + point * b), examples)
        expected = F.cross_entropy(scores, targets, reduction="none")
        assert losses == pytest.approx(expected.numpy(), abs=1e-4)


def test_the_barrier_is_the_rise_above_the_line_between_the_ends():
    assert barrier(np.array([1.0, 1.5, 2.0, 2.5, 3.0])) == 0.0
    assert barrier(np.array([1.0, 1.0, 1.0, 1.0, 3.0])) == 0.0
    assert barrier(np.array([1.0, 2.5, 4.0, 2.5, 3.0])) == pytest.approx(2.0)
    assert barrier(np.array([[1.0, 3.0], [5, 5], [2, 2], [2, 2], [2, 2]])) == pytest.approx(3.0)


def test_the_deviation_has_its_sign_and_weighs_every_inner_point():
    assert deviation(np.array([1.0, 1.5, 2.0, 2.5, 3.0])) == pytest.approx(0)
    assert deviation(np.array([1.0, 1.0, 1.0, 1.0, 3.0])) == pytest.approx(-1.0)
    assert deviation(np.array([1.0, 2.5, 4.0, 2.5, 3.0])) == pytest.approx(1.0)
    assert deviation(np.array([[1.0, 3.0], [5, 5], [2, 2], [2, 2], [2, 2]])) == pytest.approx(1.0)
    assert deviation(np.array([0.0, 3.0, 4.0]), (0.0, 0.5, 1.0)) == pytest.approx(1.0)


def drawn_rows(random, pairs):
    """Rows of lines that rise nowhere in truth: each prompt has its own loss, each point between
    two prompts the mean of theirs by its share, but for noise that neighbouring points have in
    common."""
    noise = np.linalg.cholesky(0.8 * np.ones((3, 3)) + 0.2 * np.eye(3))
    prompts = random.normal(0.5, 0.02, 2 * pairs)
    rows = []
    for seed in range(pairs):
        ends = prompts[list(connectivity.pair_of(seed))]
        losses = ends[0] + np.array(POINTS) * (ends[1] - ends[0])
        losses[1:-1] += 0.02 * noise @ random.normal(size=3)
        along = dict.fromkeys(connectivity.LINES, losses)
        rows.append({"deviations": {n: deviation(x) for n, x in along.items()}, "losses": along})
    return rows


@pytest.mark.parametrize("pairs", [3, 10])
def test_without_a_barrier_none_is_seen_more_often_than_chance(pairs, tmp_path):
    """One in forty worlds lies above zero by an interval of 95 %, and one in forty below."""
    random = np.random.default_rng(0)
    worlds = [connectivity.pool(drawn_rows(random, pairs), tmp_path)[0] for _ in range(2000)]
    verdicts = [world["verdict"]["verdict"] for world in worlds]
    for outcome in ("agrees", "disagrees"):
        share = verdicts.count(outcome) / len(worlds)
        assert share == pytest.approx(0.025, abs=4 * np.sqrt(0.025 * 0.975 / len(worlds)))


def test_no_prompt_belongs_to_two_pairs():
    seeds = [seed for row in range(20) for seed in connectivity.pair_of(row)]
    assert len(set(seeds)) == 40


@pytest.mark.parametrize("family", ["bert", "bert-encoder"])
def test_where_order_is_nothing_matching_closes_the_gap_exactly(tiny_backbone, tiny_task, family):
    """The control that must come out: an encoder without positions, a prompt and itself moved."""
    backbone = tiny_backbone(family)
    model = PromptedModel.for_task(backbone, tiny_task).with_changes(positions=False)
    prompt = SoftPrompt.from_vocab(backbone, length=6)
    fit(model, prompt, tiny_task, steps=60, batch_size=24, lr=0.05)
    rows = prompt().detach()
    moved = rows[[3, 0, 4, 1, 5, 2]]
    examples = tiny_task.split("train")
    straight = losses_along(model, rows, moved, tiny_task, examples)
    ends = straight.mean(1)[[0, -1]]
    assert ends[0] == pytest.approx(ends[1], abs=1e-4)  # one point of the model
    assert barrier(straight) > 0.01 and deviation(straight) > 0.01
    again = losses_along(model, rows, moved[matched(rows, moved)], tiny_task, examples)
    assert np.abs(again - again[0]).max() < 1e-5 and barrier(again) < 1e-5


def test_rows_pair_seeds_of_their_own(monkeypatch, tiny_folder, tiny_task, tmp_path):
    monkeypatch.setattr(runner, "load_task", lambda name: tiny_task)
    recipe = replace(RECIPES["causal"], length=5, lr=0.05, steps=2, warmup=0)
    monkeypatch.setitem(RECIPES, "causal", recipe)
    connectivity.shared_backbone.cache_clear()
    folder = str(tiny_folder("llama"))
    result = experiments.run("connectivity", backbone=folder, out=tmp_path, seeds=(0, 1))
    kept = {int(folder.name.rpartition("seed")[2]) for folder in (tmp_path / "prompts").iterdir()}
    assert kept == {0, 1, 2, 3}
    assert [row["pair"] for row in result["rows"]] == [[0, 1], [2, 3]]
    for row in result["rows"]:
        assert row["deviations"]["itself, matched"] == pytest.approx(0, abs=1e-6)
        assert row["value"] == row["deviations"]["as trained"]
        for name, losses in row["losses"].items():
            first, *inner, last = losses
            level = [first + point * (last - first) for point in row["points"][1:-1]]
            above = np.subtract(inner, level)
            assert row["deviations"][name] == pytest.approx(above.mean(), abs=1e-6)
            assert row["rises"][name] == pytest.approx(max(0, above.max()), abs=1e-6)
    means = {line["what"]: line["mean"][0] for line in result["pooled"]}
    taken = [r["deviations"]["as trained"] - r["deviations"]["matched"] for r in result["rows"]]
    assert means["what matching takes of it"] == pytest.approx(np.mean(taken))
    ends = [r["losses"]["matched"][-1] - r["losses"]["as trained"][-1] for r in result["rows"]]
    assert means[connectivity.RAISED] == pytest.approx(np.mean(ends)) and min(map(abs, ends)) > 0
    text = (tmp_path / f"{result['file']}.md").read_text(encoding="utf-8")
    assert "| 0, 1 |" in text and "| 2, 3 |" in text
