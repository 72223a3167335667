"""What order is worth: ways to train side by side, each read in its own order and in others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from labkit import experiments
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.tuning import fit
from labkit.experiments import order, order_worth
from labkit.experiments.base import runner
from labkit.experiments.base.recipe import RECIPES
from labkit.experiments.base.rows import from_digits
from labkit.experiments.order_worth import AS_SET, LONGER, ORDER_PROOF, ORDINARY
from labkit.shuffle_probe import pooled_effect
from labkit.soft_prompt import initialise, load_prompt


@pytest.fixture
def run(monkeypatch, tiny_folder, tiny_task, tmp_path):
    monkeypatch.setattr(runner, "load_task", lambda name: tiny_task)
    monkeypatch.setattr(order, "learns", lambda gate: True)
    monkeypatch.setattr(order_worth, "STEPS", 3)
    for readout, recipe in RECIPES.items():
        monkeypatch.setitem(RECIPES, readout, replace(recipe, length=5, lr=0.05, warmup=0))
    order_worth.shared_backbone.cache_clear()

    def start(family, **options):
        folder = str(tiny_folder(family))
        return experiments.run("order-worth", backbone=folder, out=tmp_path, **options)

    return start


@pytest.mark.parametrize("family", ["llama", "bert", "t5"])
def test_each_way_to_train_is_what_it_says(run, tiny_folder, tiny_task, tmp_path, family):
    rows = {row["setting"]: row for row in run(family, seeds=(1,))["rows"]}
    assert list(rows) == [ORDINARY, ORDER_PROOF, AS_SET, LONGER]
    assert [row["steps"] for row in rows.values()] == [3, 3, 3, 9]
    kept = {}
    for folder in (tmp_path / "prompts").iterdir():
        prompt, card = load_prompt(folder)
        kept[card.positions, card.scores["trained_steps"], folder.name] = prompt().detach()
    backbone = order_worth.shared_backbone(str(tiny_folder(family)))  # in the rows' precision
    model = PromptedModel.for_task(backbone, tiny_task)
    wanted = {
        ORDINARY: ("trained", True),
        ORDER_PROOF: ("random", True),
        AS_SET: ("trained", "set"),
    }
    for name, (orders, positions) in wanted.items():
        recipe = replace(RECIPES[backbone.readout], steps=3, batch_size=8)
        prompt = initialise(recipe.init, backbone, 5, model.verbalizer, 1)
        changed = model.with_changes(positions=positions)
        fit(changed, prompt, tiny_task, recipe, seed=1, limit=24, orders=orders)
        assert any(torch.equal(prompt(), vectors) for vectors in kept.values()), name
        result = evaluate(changed, prompt, tiny_task, limit=order_worth.SENTENCES)
        assert from_digits(rows[name]["correct"]).tolist() == result.correct.tolist()
        loss = torch.nn.functional.cross_entropy(
            torch.tensor(result.scores), torch.tensor(result.targets)
        )
        assert rows[name]["loss"] == pytest.approx(loss.item(), abs=1e-5)


def test_a_set_scores_the_same_in_every_order_and_an_ordinary_prompt_is_read_in_them(run):
    result = run("llama", seeds=(0, 1))
    for row in result["rows"]:
        right = np.array([int(digit) for digit in row["effects"]["all tokens move"]["right"]])
        assert row["in_random_orders"] == pytest.approx(right.mean() / 2)
        if row["setting"] == AS_SET:
            assert (right == 2 * from_digits(row["correct"])).all()


def test_the_differences_are_recounted_from_the_rows(run):
    result = run("llama", seeds=(0, 1))
    own = {(r["setting"], r["seed"]): from_digits(r["correct"]) * 1.0 for r in result["rows"]}
    pooled = {(row["setting"], row["what"]): row for row in result["pooled"]}
    gap = np.array([own[AS_SET, seed] - own[ORDINARY, seed] for seed in (0, 1)])
    line = pooled["set − ordinary", "own order"]
    assert line["mean_difference"] == pytest.approx(list(pooled_effect(gap)))
    assert line["by_prompt"] == pytest.approx(gap.mean(1).tolist())
    assert pooled[AS_SET, "random order − own"]["mean_difference"] == [0.0, 0.0, 0.0]
    costs = [r["in_random_orders"] - r["value"] for r in result["rows"] if r["setting"] == ORDINARY]
    assert pooled[ORDINARY, "random order − own"]["by_prompt"] == pytest.approx(costs)
    without = "random order − ordinary's own"
    ordinary = {r["seed"]: r["value"] for r in result["rows"] if r["setting"] == ORDINARY}
    proof = [r for r in result["rows"] if r["setting"] == ORDER_PROOF]
    lacks = [r["in_random_orders"] - ordinary[r["seed"]] for r in proof]
    assert pooled["order-proof − ordinary", without]["by_prompt"] == pytest.approx(lacks)
    whats = {"random order − own", "own order", "random order", without}
    assert {what for _, what in pooled} == whats


def test_what_has_not_learned_is_in_the_table_and_in_no_difference(run, monkeypatch):
    monkeypatch.setattr(order, "learns", lambda gate: False)
    result = run("llama", seeds=(0,), only=[AS_SET])
    assert [row["setting"] for row in result["rows"]] == [AS_SET] and result["pooled"] == []


def test_what_hand_made_rows_say_together(tmp_path):
    """Ordinary prompts are right in their own order only, the other way's in every second one."""
    told = {
        ORDINARY: {"correct": "1111", "right": "0000"},
        ORDER_PROOF: {"correct": "0000", "right": "1111"},
    }
    rows = [
        {
            "setting": way,
            "seed": seed,
            "learns": True,
            "correct": row["correct"],
            "effects": {"all tokens move": {"right": row["right"], "per_sentence": 2}},
        }
        for way, row in told.items()
        for seed in (0, 1)
    ]
    pooled = {
        (line["setting"], line["what"]): (
            line["mean_difference"][0],
            line["verdict"]["claim"].split(": ")[1].split(",")[0],
            line["verdict"]["verdict"],
        )
        for line in order_worth.pool(rows, tmp_path)
    }
    against = f"{ORDER_PROOF} − {ORDINARY}"
    assert pooled == {
        (ORDINARY, "random order − own"): (-1.0, "below zero", "agrees"),
        (ORDER_PROOF, "random order − own"): (0.5, "below zero", "disagrees"),
        (against, "own order"): (-1.0, "below zero", "agrees"),
        (against, "random order"): (0.5, "above zero", "agrees"),
        (against, "random order − ordinary's own"): (-0.5, "below zero", "agrees"),
    }
