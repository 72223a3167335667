"""Prompts of one model read by another: one map, three inputs, differences by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from labkit import experiments
from labkit.core.errors import LabError
from labkit.core.tuning import fit
from labkit.experiments import cross_model, lm_adaptation, transfer
from labkit.experiments.base import runner
from labkit.prompt_transfer import ProjectedPrompt

TASKS = ("cr", "mpqa", "rte")


@pytest.fixture(autouse=True)
def quick(monkeypatch, tiny_task_named, tiny_folder):
    """Three tasks of the tiny task's sentences; a tiny encoder's prompts for a tiny Llama."""

    for readout, recipe in experiments.RECIPES.items():
        small = replace(recipe, steps=2, batch_size=4, length=3)
        monkeypatch.setitem(transfer.RECIPES, readout, small)
        monkeypatch.setitem(transfer.STEPS, readout, 2)
    for module in (transfer, cross_model):
        monkeypatch.setattr(module, "here", lambda name: True)
    for readout in ("encoder", "causal"):
        monkeypatch.setitem(transfer.TASKS, readout, TASKS)
    monkeypatch.setattr(cross_model, "TASKS", TASKS)
    monkeypatch.setattr(cross_model, "TRAINED_ON", TASKS[:2])
    encoder = str(tiny_folder("bert-encoder"))
    monkeypatch.setitem(cross_model.SOURCE_MODEL, "causal", encoder)
    for module in (runner, lm_adaptation, transfer, cross_model):
        monkeypatch.setattr(module, "load_task", tiny_task_named)
    return encoder


def test_the_map_by_hand(tiny_backbone):
    """LayerNorm(W₂ tanh(W₁ x)) of each normalised virtual token, at the spread of the words."""
    backbone = tiny_backbone("bert")
    vectors = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)) * 4
    prompt = ProjectedPrompt(vectors, backbone, width=7)
    first, first_bias, second, second_bias = (w.detach().numpy() for w in prompt.parameters())

    def normalised(rows):
        return (rows - rows.mean(1, keepdims=True)) / rows.std(1, keepdims=True)

    hidden = np.tanh(normalised(vectors.numpy()) @ first.T + first_bias)
    words = backbone.model.get_input_embeddings().weight.detach()
    wanted = normalised(hidden @ second.T + second_bias) * words.std().item()
    assert prompt().detach().numpy() == pytest.approx(wanted, abs=2e-4)


def test_every_target_is_read_under_three_inputs(quick, tiny_folder, tmp_path):
    llama = str(tiny_folder("llama"))
    with pytest.raises(LabError, match="labkit run transfer"):
        experiments.run("cross-model", backbone=llama, seeds=(0,), out=tmp_path)
    experiments.run("transfer", backbone=quick, seeds=(0, 1), out=tmp_path)
    result = experiments.run("cross-model", backbone=llama, seeds=(0, 1), out=tmp_path, resume=True)
    assert {(row["setting"], row["seed"]) for row in result["rows"]} == {
        (task, seed) for task in TASKS[:2] for seed in (0, 1)
    }
    for row in result["rows"]:
        assert set(row["targets"]) == set(TASKS)
        at_home = row["targets"][row["task"]]["scores"]
        assert at_home[cross_model.OWN] == at_home[cross_model.OTHER]
        assert at_home[cross_model.OWN]["value"] == row["value"]
    rows = [row for row in result["rows"] if row["setting"] == "cr"]
    scores = [row["targets"]["rte"]["scores"] for row in rows]
    by_hand = np.mean(
        [s[cross_model.OWN]["value"] - s[cross_model.UNTRAINED]["value"] for s in scores]
    )
    gains = cross_model.gains_of_own(result, cross_model.UNTRAINED)
    assert gains["cr", "rte"].value == pytest.approx(by_hand)
    assert ("cr", "cr") not in gains
    first = result["rows"][0]
    first["targets"]["mpqa"]["seen"] = True
    assert cross_model.seen_pairs(result) == {(first["task"], "mpqa")}
    assert f"| {first['task']} | (mpqa) |" in experiments.markdown(result)
    assert f"| cr | rte | {np.mean([s[cross_model.OWN]['value'] for s in scores]):.3f} |" in (
        experiments.markdown(result)
    )


def test_only_the_map_learns_and_both_prompts_go_through_it(tiny_backbone, tiny_task):
    from labkit.core.prompted_model import PromptedModel

    backbone = tiny_backbone("llama")
    draw = torch.Generator().manual_seed(0)
    first, second = (torch.randn(3, 7, generator=draw) for _ in range(2))
    prompt = ProjectedPrompt(first, backbone)
    other = prompt.on(second)
    before = [prompt().detach().clone(), other().detach().clone()]
    assert not torch.equal(*before)
    assert before[0].shape == (3, backbone.hidden_size)
    spread = backbone.model.get_input_embeddings().weight.std()
    assert before[0].std() == pytest.approx(float(spread), rel=0.05)
    model = PromptedModel.for_task(backbone, tiny_task)
    fit(model, prompt, tiny_task, steps=2, batch_size=4, lr=1e-2)
    for through, was in zip((prompt, other), before, strict=True):
        assert not torch.allclose(through(), was)
    assert torch.equal(prompt.vectors, first) and torch.equal(other.vectors, second)
    assert torch.equal(prompt.on(second)(), other())


def test_the_map_starts_from_its_seed(tiny_backbone):
    vectors = torch.ones(2, 5)
    one, same, another = (
        ProjectedPrompt(vectors, tiny_backbone("bert"), seed=s) for s in (0, 0, 1)
    )
    assert torch.equal(one(), same()) and not torch.equal(one(), another())


def test_a_prompt_of_another_width_is_refused(tiny_backbone):
    prompt = ProjectedPrompt(torch.ones(2, 5), tiny_backbone("bert"))
    with pytest.raises(LabError, match=r"\(2, 6\).*width 5"):
        prompt.on(torch.ones(2, 6))
