"""Pruning: how much each virtual token is missed, counted prompt by prompt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from labkit import experiments
from labkit.core.errors import LabError
from labkit.core.loading import load_backbone
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.experiments import pruning as pruning_rows
from labkit.experiments.base import runner
from labkit.experiments.base.recipe import RECIPES
from labkit.experiments.base.rows import from_digits
from labkit.soft_prompt import SoftPrompt, load_prompt
from labkit.soft_prompt.pruning import greedy, keep, missed

LENGTH = 5


@pytest.fixture(params=["llama", "bert", "t5", "bert-encoder"])
def setup(request, tiny_backbone, tiny_task):
    backbone = tiny_backbone(request.param)
    model = PromptedModel.for_task(backbone, tiny_task)
    return model, SoftPrompt.from_uniform(backbone, LENGTH, seed=1), tiny_task.split("train")


def loss_of(model, rows, examples):
    targets = torch.tensor([example.label for example in examples])
    return F.cross_entropy(model.scores(SoftPrompt(rows), examples), targets).item()


def test_costs_are_losses_of_the_prompts_without_each_token(setup, tiny_task):
    model, prompt, examples = setup
    rows = prompt().detach()
    whole = loss_of(model, rows, examples)
    left_out, filled = (missed(model, prompt, tiny_task, examples, w) for w in ("left out", "mean"))
    for row in range(LENGTH):
        others = rows[[i for i in range(LENGTH) if i != row]]
        assert left_out[row] == pytest.approx(loss_of(model, others, examples) - whole, abs=1e-5)
        replaced = rows.clone()
        replaced[row] = others.mean(0)
        assert filled[row] == pytest.approx(loss_of(model, replaced, examples) - whole, abs=1e-5)


@pytest.mark.parametrize("family", ["bert", "bert-encoder"])
def test_the_gradient_foretells_what_fading_costs_at_first(tiny_folder, tiny_task, family):
    backbone = load_backbone(str(tiny_folder(family)), device="cpu", dtype=torch.float64)
    model = PromptedModel.for_task(backbone, tiny_task)
    prompt, examples = SoftPrompt.from_uniform(backbone, LENGTH, seed=1), tiny_task.split("train")
    foretold = missed(model, prompt, tiny_task, examples, "gradient")
    small = 2e-2
    for row in range(LENGTH):
        fainter, stronger = prompt().detach().clone(), prompt().detach().clone()
        fainter[row] *= 1 - small
        stronger[row] *= 1 + small
        slope = loss_of(model, fainter, examples) - loss_of(model, stronger, examples)
        assert slope / (2 * small) == pytest.approx(foretold[row], abs=2e-3)
    assert np.abs(foretold).max() > 0.01


def test_greedy_drops_what_is_missed_least_each_time(setup, tiny_task):
    model, prompt, examples = setup
    rows, left, passes = prompt().detach(), list(range(LENGTH)), []
    order = greedy(model, prompt, tiny_task, examples, lambda *done: passes.append(done))
    assert sorted(order) == list(range(LENGTH)) and passes[-1] == (14, 14)
    for gone in order[:-1]:
        losses = [loss_of(model, rows[[i for i in left if i != row]], examples) for row in left]
        assert losses[left.index(gone)] == pytest.approx(min(losses), abs=1e-5)
        left.remove(gone)


def test_the_most_missed_stay_where_they_stood():
    costs = np.array([0.3, -0.1, 0.9, 0.0, 0.3])
    assert (
        keep(costs, 3) == [0, 2, 4] and keep(costs, 1) == [2] and keep(costs, 5) == list(range(5))
    )
    for count in (0, 6):
        with pytest.raises(LabError, match="between 1 and all 5"):
            keep(costs, count)


def test_what_cannot_be_asked(setup, tiny_task):
    model, prompt, examples = setup
    with pytest.raises(LabError, match="choose one of left out, mean, gradient"):
        missed(model, prompt, tiny_task, examples, "shapley")
    with pytest.raises(LabError, match="can't lose it"):
        missed(model, SoftPrompt(prompt()[:1]), tiny_task, examples)


def test_rows_score_the_tokens_that_they_name(monkeypatch, tiny_folder, tiny_task, tmp_path):
    monkeypatch.setattr(runner, "load_task", lambda name: tiny_task)
    monkeypatch.setattr(pruning_rows, "COUNTS", (9, 3, 1))
    recipe = replace(RECIPES["causal"], length=LENGTH, lr=0.05, steps=2, warmup=0)
    monkeypatch.setitem(RECIPES, "causal", recipe)
    pruning_rows.shared_backbone.cache_clear()
    folder = str(tiny_folder("llama"))
    result = experiments.run("pruning", backbone=folder, out=tmp_path, seeds=(0, 1))
    assert len(result["rows"]) == 2 * 6
    assert len(list((tmp_path / "prompts").iterdir())) == 2 * 3  # of length 5, 3 and 1
    model = PromptedModel.for_task(pruning_rows.shared_backbone(folder), tiny_task)
    (whole,) = (tmp_path / "prompts").glob(f"*-tiny-{LENGTH}-*-seed1")
    vectors = load_prompt(whole)[0]().detach()
    for row in result["rows"]:
        assert list(row["kept"]) == ["3", "1"]
        for count, part in row["kept"].items():
            if row["seed"] == 1 and part["rows"] is not None:
                assert len(part["rows"]) == int(count) and part["rows"] == sorted(part["rows"])
                shorter = SoftPrompt(vectors[part["rows"]])
                seen = evaluate(model, shorter, tiny_task, limit=pruning_rows.SENTENCES)
                assert from_digits(part["correct"]).tolist() == seen.correct.tolist()
    lines = {(line["setting"], line["kept"]): line for line in result["pooled"]}
    assert len(lines) == 6 * 2
    greedily = [row for row in result["rows"] if row["setting"] == "greedy"]
    lost = np.mean([row["kept"]["1"]["value"] - row["value"] for row in greedily])
    assert lines["greedy", 1]["mean_difference"][0] == pytest.approx(lost)
    assert "3 kept" in (tmp_path / f"{result['file']}.md").read_text(encoding="utf-8")


def test_answers_that_are_lost_agree_with_the_claim_and_answers_gained_do_not(tmp_path):
    kept = {"3": {"correct": "0000"}, "2": {"correct": "1111"}, "1": {"correct": "0011"}}
    row = {"setting": "greedy", "correct": "0011", "kept": kept}
    lines = pruning_rows.pool([row, row | {"correct": "0001"}], tmp_path)
    assert [(line["kept"], line["mean_difference"][0]) for line in lines] == [
        (3, -0.375),
        (2, 0.625),
        (1, 0.125),
    ]
    whole = row | {"correct": "1111", "kept": {"3": {"correct": "0000"}}}
    (lost,) = pruning_rows.pool([whole, whole], tmp_path)
    assert lost["verdict"]["verdict"] == "agrees"
    bad = row | {"correct": "0000", "kept": {"3": {"correct": "1111"}}}
    (gained,) = pruning_rows.pool([bad, bad], tmp_path)
    assert gained["verdict"]["verdict"] == "disagrees"
