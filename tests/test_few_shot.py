"""Few examples: what a draw holds, one pre-trained start for all, the table by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labkit import experiments
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.experiments import few_shot, lm_adaptation
from labkit.experiments.base import runner
from labkit.experiments.base.rows import as_digits
from labkit.experiments.few_shot import (
    CONTEXT,
    DEMONSTRATIONS,
    HYBRID,
    METHODS,
    PLAIN,
    PRETRAINED,
    PRETRAINED_HYBRID,
)
from labkit.soft_prompt import ContextPrompt, demonstrations, load_prompt

SIZES = (2, 4)


@pytest.fixture(autouse=True)
def quick(monkeypatch, tiny_task):
    for readout, recipe in experiments.RECIPES.items():
        monkeypatch.setitem(experiments.RECIPES, readout, replace(recipe, length=3, steps=2))
    monkeypatch.setattr(few_shot, "SIZES", SIZES)
    monkeypatch.setattr(few_shot, "STEPS", 2)
    monkeypatch.setattr(few_shot, "EVALUATE_EVERY", 1)
    monkeypatch.setattr(few_shot, "pretraining_task", lambda *given: tiny_task)
    for module in (runner, lm_adaptation):
        monkeypatch.setattr(module, "load_task", lambda name: tiny_task)


@pytest.fixture
def result(tiny_folder, tmp_path):
    folder = str(tiny_folder("bert-encoder"))
    return experiments.run("few-shot", backbone=folder, seeds=(0, 1), out=tmp_path)


def test_a_draw_trains_and_chooses_on_different_examples(tiny_task):
    few = few_shot.draw(tiny_task, 8, seed=0)
    train, validation = ({e.id for e in few.split(part)} for part in ("train", "validation"))
    assert len(train) == len(validation) == 8 and not train & validation
    assert train | validation <= {e.id for e in tiny_task.split("train")}
    assert few.split("test") == tiny_task.split("test")
    assert few_shot.draw(tiny_task, 8, seed=1).split("train") != few.split("train")


def test_a_draw_that_the_training_examples_do_not_allow_is_refused_before_the_first_row(
    monkeypatch, tiny_folder, tmp_path
):
    monkeypatch.setattr(few_shot, "SIZES", (12, 13))  # 24 examples to train on
    folder, out = str(tiny_folder("bert-encoder")), tmp_path / "out"
    with pytest.raises(LabError, match=r"24 examples; .*, 13 examples' takes 26.*--only"):
        experiments.run("few-shot", backbone=folder, out=out)
    assert not list(out.glob("*.json"))


def test_every_method_with_every_size_and_draw(result):
    made = {(row["method"], row["examples"], row["seed"]) for row in result["rows"]}
    assert made == {(m, n, s) for m in METHODS for n in SIZES for s in (0, 1)}
    words = {row["method"]: row["template"] for row in result["rows"]}
    assert "review" in words[HYBRID] and "review" in words[PRETRAINED_HYBRID]
    assert words[PLAIN] == words[PRETRAINED] == "{soft}{text}"
    assert "{soft}" not in words["fine-tuning"]


def test_a_context_is_the_draws_own_examples_and_its_control_is_not_trained(
    result, tiny_folder, tiny_task
):
    rows = {(r["method"], r["examples"], r["seed"]): r for r in result["rows"]}
    tuned, control = rows[CONTEXT, 4, 1], rows[DEMONSTRATIONS, 4, 1]
    assert tuned["length"] == control["length"] > rows[PLAIN, 4, 1]["length"] == 3
    assert tuned["template"] == control["template"] == rows[HYBRID, 4, 1]["template"]
    assert control["best_step"] == 0
    backbone = few_shot.shared_backbone(str(tiny_folder("bert-encoder")))
    model = PromptedModel.for_task(backbone, tiny_task).with_changes(template=control["template"])
    shots = demonstrations(few_shot.draw(tiny_task, 4, seed=1), few_shot.SHOTS, seed=1)
    contexts = [ContextPrompt(model, shots[:count]) for count in range(1, len(shots) + 1)]
    (prompt,) = (c for c in contexts if len(c.words) == control["length"])
    seen = evaluate(model, prompt, tiny_task, limit=few_shot.TEST_EXAMPLES)
    assert control["value"] == seen.value
    assert control["correct"] == as_digits(seen.correct)


def test_pre_trained_prompts_start_from_the_one_that_was_kept(
    result, tiny_folder, tmp_path, monkeypatch
):
    (kept,) = tmp_path.glob("few-shot-*/pre-trained")
    vectors, starts = load_prompt(kept)[0]().detach(), []
    inner = few_shot.fit

    def spy(model, prompt, *args, **options):
        starts.append(prompt().detach().clone())
        return inner(model, prompt, *args, **options)

    monkeypatch.setattr(few_shot, "fit", spy)
    monkeypatch.setattr(few_shot, "METHODS", (PRETRAINED,))
    folder = str(tiny_folder("bert-encoder"))
    experiments.run("few-shot", backbone=folder, seeds=(0, 1, 2), out=tmp_path, resume=True)
    assert len(starts) == len(SIZES), "the third draw only, and no second pre-training"
    assert all((start == vectors).all() for start in starts)


def test_the_table_is_mean_and_spread_over_draws(result):
    # the draws of a tiny random model may all score the same
    rows = [row | {"value": 0.3 + k**2 / 1000} for k, row in enumerate(result["rows"])]
    result = result | {"rows": rows}
    values = {(r["method"], r["examples"], r["seed"]): r["value"] for r in rows}
    draws = {size: [values[PLAIN, size, seed] for seed in (0, 1)] for size in SIZES}
    assert few_shot.table(result)[PLAIN] == draws
    (line,) = (
        each for each in experiments.markdown(result).splitlines() if each.startswith(f"| {PLAIN} ")
    )
    cells = [
        f"{(first + second) / 2:.3f} ± {abs(first - second) / np.sqrt(2):.3f}"
        for first, second in draws.values()
    ]
    assert line.endswith(f"| {cells[0]} | {cells[1]} |")


def test_a_gain_is_the_mean_of_the_paired_draws(result):
    found = few_shot.gains(result, "hybrid prompt", "prompt")
    assert list(found) == list(SIZES)
    values = {(r["method"], r["examples"], r["seed"]): r["value"] for r in result["rows"]}
    for size, gain in found.items():
        apart = [values["hybrid prompt", size, s] - values["prompt", size, s] for s in (0, 1)]
        assert gain.value == pytest.approx(np.mean(apart))
        assert gain.low <= gain.value <= gain.high
    assert few_shot.gains(result, "hybrid prompt", "LoRA") == {}
