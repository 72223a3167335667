"""PEFT's rows: PEFT starts as the hard prompt, trains only its own parts, and is scored alike."""

from __future__ import annotations

import pytest
import torch

from labkit import experiments
from labkit.core.errors import LabError
from labkit.core.loading import load_backbone
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.templates import Verbalizer
from labkit.core.tuning import fit
from labkit.experiments import parameters, peft_rows, template_family
from labkit.experiments.base import runner
from labkit.experiments.base.recipe import Recipe
from labkit.experiments.peft_rows import RECIPES, adapted_by_peft


def hard_prompt(folder) -> PromptedModel:
    backbone = load_backbone(str(folder), device="cpu", dtype=torch.float32)
    words = Verbalizer({"negative": "terrible", "positive": "great"})
    return PromptedModel(backbone, "Review: {text} It was {mask}", words)


def test_lora_starts_as_the_hard_prompt(tiny_folder, tiny_task):
    hard = hard_prompt(tiny_folder("llama"))
    examples = tiny_task.split("test")
    before = hard.scores(None, examples)
    model = adapted_by_peft(hard, "LoRA", 4)
    scores = model.scores(None, examples)
    torch.testing.assert_close(scores - scores[:, :1], before - before[:, :1], atol=1e-4, rtol=1e-4)
    right = evaluate(model, None, tiny_task).correct
    expected = evaluate(hard_prompt(tiny_folder("llama")), None, tiny_task)
    assert sum(right) / len(right) == expected.value


@pytest.mark.parametrize("method", RECIPES)
def test_only_pefts_parts_move(tiny_folder, tiny_task, method):
    model = adapted_by_peft(hard_prompt(tiny_folder("llama")), method, 4)
    frozen = {n: p.clone() for n, p in model.named_parameters() if not p.requires_grad}
    free = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    recipe = Recipe(steps=3, batch_size=4, lr=1e-2, schedule="linear")
    losses = fit(model, None, tiny_task, recipe).losses
    assert len(losses) == 3
    now = dict(model.named_parameters())
    assert all(torch.equal(now[name], value) for name, value in frozen.items())
    assert any(not torch.equal(now[name], value) for name, value in free.items())


def test_rows_say_what_was_trained_and_repeat(tiny_folder, tiny_task, tmp_path, monkeypatch):
    monkeypatch.setitem(template_family.STEPS, "small", 2)
    monkeypatch.setattr(template_family, "WORDS", {"negative": "terrible", "positive": "great"})
    monkeypatch.setattr(runner, "load_task", lambda name: tiny_task)
    folder = tiny_folder("llama")

    def rows(out):
        result = experiments.run("peft-reference", backbone=str(folder), seeds=(0,), out=out)
        return [{k: v for k, v in row.items() if k != "seconds"} for row in result["rows"]]

    first = rows(tmp_path / "a")
    assert rows(tmp_path / "b") == first
    shapes = parameters.Shapes.of(load_backbone(str(folder), device="cpu"))
    assert {row["setting"]: row["trained"] for row in first} == {
        "prefix tuning": parameters.prefix_tuning(shapes, 20),
        "LoRA": parameters.lora(shapes),
    }


def test_what_has_no_row(tiny_folder):
    with pytest.raises(LabError, match="has no row"):
        adapted_by_peft(hard_prompt(tiny_folder("llama")), "adapters", 4)
    backbone = load_backbone(str(tiny_folder("bert")), device="cpu")
    words = Verbalizer({"negative": "terrible", "positive": "great"})
    with pytest.raises(LabError, match="mlm readout"):
        adapted_by_peft(PromptedModel(backbone, "{text} {mask}", words), "LoRA", 4)


def test_pefts_methods_stand_beside_free_vectors_with_the_same_seeds():
    def row(setting, seed, correct, trained, method="PEFT", member=None):
        value = correct.count("1") / len(correct)
        about = {"setting": setting, "seed": seed, "method": method, "member": member}
        return {**about, "correct": correct, "trained": trained, "value": value}

    family = [
        row("hard: as it is", 0, "0000", None, "hard", "as it is"),
        row("encoder: as it is", 0, "1110", 90, "encoder", "as it is"),
        row("free: as it is", 0, "1100", 10, "free", "as it is"),
        row("free: as it is", 1, "1000", 10, "free", "as it is"),
        row("free: is → was", 0, "1111", 10, "free", "is → was"),
    ]
    reference = [row("LoRA", seed, "1110", 50) for seed in (0, 1, 2)]
    found = peft_rows.beside_family({"rows": family}, {"rows": reference})
    assert [(each.method, each.trained) for each in found] == [
        ("free", 10),
        ("LoRA", 50),
        ("encoder", 90),
    ]
    assert found[0].scores == (0.5, 0.25) and found[1].scores == (0.75,) * 3
    above = [each.over_free.value for each in found]
    assert above == pytest.approx([0, 0.375, 0.25])  # over seeds 0 and 1; the encoder over 0 alone
