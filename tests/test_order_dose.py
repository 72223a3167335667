"""Dosed orders: what each costs, counted one by one, and what is read off half of them."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch.nn import functional as F

from labkit import experiments
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.experiments import order_dose
from labkit.experiments.base import runner
from labkit.experiments.base.recipe import RECIPES
from labkit.experiments.base.rows import from_digits
from labkit.shuffle_probe import (
    Shuffle,
    TokenPlaceEffects,
    discordant_share,
    incomplete_design,
    mallows,
)
from labkit.shuffle_probe.incomplete import design_losses
from labkit.soft_prompt import SoftPrompt, load_prompt


@pytest.mark.parametrize("family", ["llama", "bert", "t5", "bert-encoder"])
def test_losses_of_a_design_are_those_of_one_order_after_the_other(
    tiny_backbone, tiny_task, family
):
    backbone = tiny_backbone(family)
    model = PromptedModel.for_task(backbone, tiny_task)
    prompt = SoftPrompt.from_uniform(backbone, 6, seed=1)
    design = incomplete_design(Shuffle(), 6, 12, per_sentence=3, per_order=4, seed=2)
    losses, trained, flipped = design_losses(model, prompt, tiny_task, design)
    examples = tiny_task.take("validation", 12, seed=0)
    targets = torch.tensor([example.label for example in examples])

    def one_by_one(vectors):
        scores = model.scores(SoftPrompt(vectors), examples)
        return F.cross_entropy(scores, targets, reduction="none"), scores.argmax(-1)

    plain, classes = one_by_one(prompt().detach())
    assert trained == pytest.approx(plain[design.sentence].numpy(), abs=1e-5)
    for index, order in enumerate(design.orders):
        moved, others = one_by_one(prompt().detach()[order.tolist()])
        at = design.order == index
        read = design.sentence[at]
        assert losses[at] == pytest.approx(moved[read].numpy(), abs=1e-5)
        assert flipped[at].tolist() == (others != classes)[read].tolist()
    assert np.abs(losses - trained).max() > 1e-3


@pytest.fixture
def result(monkeypatch, tiny_folder, tiny_task, tmp_path):
    monkeypatch.setattr(runner, "load_task", lambda name: tiny_task)
    monkeypatch.setattr(order_dose, "ORDERS", 6)
    recipe = replace(RECIPES["causal"], length=6, lr=0.05, steps=2, warmup=0)
    monkeypatch.setitem(RECIPES, "causal", recipe)
    order_dose.shared_backbone.cache_clear()
    folder = str(tiny_folder("llama"))
    return experiments.run("order-dose", backbone=folder, out=tmp_path, seeds=(0, 1))


def test_the_order_found_follows_from_half_of_the_costs(result, tiny_folder, tiny_task, tmp_path):
    row = result["rows"][1]
    orders, costs = np.array(row["orders"]), np.array(row["cost"])
    assert orders.shape == (36, 6) and costs.shape == (36,)
    fit, other = slice(0, None, 2), slice(1, None, 2)
    effects = TokenPlaceEffects.fit(orders[fit], costs[fit], ridge=order_dose.RIDGE)
    assert row["assigned"]["order"] == list(effects.lowest())
    told = spearmanr(effects.predict(orders[other]), costs[other]).statistic
    assert row["held_out"] == pytest.approx(told, abs=1e-3)
    (folder,) = (tmp_path / "prompts").glob("*-seed1")
    vectors = load_prompt(folder)[0]().detach()
    backbone = order_dose.shared_backbone(str(tiny_folder("llama")))  # in the row's precision
    model = PromptedModel.for_task(backbone, tiny_task)
    found = SoftPrompt(vectors[row["assigned"]["order"]])
    moved = evaluate(model, found, tiny_task, limit=order_dose.TEST_SENTENCES)
    assert from_digits(row["assigned"]["correct"]).tolist() == moved.correct.tolist()


def test_the_pooled_lines_are_recounted_from_the_rows(result, tmp_path):
    lines = {line["what"]: line for line in result["pooled"]}
    rows = result["rows"]
    for index, name in enumerate(order_dose.NAMES.values()):
        part = slice(6 * index, 6 * index + 6)
        assert lines[name]["mean"][0] == pytest.approx(np.mean([r["cost"][part] for r in rows]))
        assert lines[name]["distance"] == pytest.approx(
            np.mean([r["distance"][part] for r in rows]), abs=1e-4
        )
    distances = [lines[name]["distance"] for name in order_dose.NAMES.values()]
    assert distances[0] < 0.1 < 0.35 < distances[-1]
    gain = np.mean([r["assigned"]["value"] - r["value"] for r in rows])
    assert lines["order by assignment − trained order, test"]["mean"][0] == pytest.approx(gain)
    assert len(lines) == 6 + 5
    apart = [spearmanr(r["distance"][1::2], r["cost"][1::2]).statistic for r in rows]
    alone = lines["distance alone foretells the same (Spearman)"]["mean"][0]
    assert alone == pytest.approx(np.mean(apart))
    text = (tmp_path / f"{result['file']}.md").read_text(encoding="utf-8")
    assert text.count("above zero") == 11


def test_too_few_to_validate_on_are_refused_before_anything_is_trained(
    monkeypatch, tiny_folder, tiny_task, tmp_path
):
    few = tiny_task.with_splits(validation=tiny_task.split("validation")[:5])
    monkeypatch.setattr(runner, "load_task", lambda name: few)
    monkeypatch.setattr(order_dose, "trained_prompt", None)
    with pytest.raises(LabError, match=r"validation split of .* has 5 examples"):
        experiments.run("order-dose", backbone=str(tiny_folder("llama")), out=tmp_path, seeds=(0,))


def test_one_prompt_says_nothing_of_others(result, tmp_path):
    assert order_dose.pool(result["rows"][:1], tmp_path) == []


def test_what_hand_made_rows_say_together(monkeypatch, tmp_path):
    """Two orders of each dose; cost rises with distance, but for one pair of the second prompt."""
    monkeypatch.setattr(order_dose, "ORDERS", 2)
    distance = [k / 24 for k in range(12)]
    costs = [0.1 * k for k in range(12)]
    exchanged = [costs[1], costs[0], *costs[2:]]
    flips = [0.05 * (k // 2) for k in range(12)]  # 0.05 more with each dose
    row = {"distance": distance, "cost": costs, "flips": flips, "held_out": 0.5, "correct": "1100"}
    row["assigned"] = {"correct": "1110"}
    row["orders"] = [
        list(order) for order in itertools.islice(itertools.permutations(range(4)), 12)
    ]
    other = row | {"cost": exchanged, "flips": [f + 0.1 for f in flips], "held_out": 0.7}
    *doses, going, foretold, alone, within, gain = order_dose.pool([row, other], tmp_path)
    for index, line in enumerate(doses):
        assert line["flip_rate"][0] == pytest.approx(0.05 * index + 0.05)
        assert line["mean"][0] == pytest.approx(0.2 * index + 0.05)
        assert line["distance"] == pytest.approx((2 * index + 0.5) / 24)
    # Spearman's correlation of twelve with one neighbouring pair exchanged: 1 − 6 · 2 / (12 · 143)
    assert going["mean"][0] == pytest.approx((1 + 1 - 12 / 1716) / 2)
    assert foretold["mean"][0] == pytest.approx(0.6)
    assert alone["mean"][0] == 1  # the other half, every second order, is in order
    assert within["mean"][0] == 0  # one order of each dose is left, and nothing to be foretold
    assert gain["mean"][0] == pytest.approx(0.25)
    assert going["verdict"]["verdict"] == "agrees"  # 0.5 and 0.7 alone would not decide
    assert foretold["verdict"]["verdict"] == "can't tell"


def test_effects_that_know_the_distance_alone_foretell_nothing_within_a_dose(monkeypatch, tmp_path):
    """A cost of dose and noise; then one of the tokens that left their place, a sum of effects."""
    monkeypatch.setattr(order_dose, "ORDERS", 40)
    random = np.random.default_rng(0)

    def row(cost_of):
        orders = np.concatenate(
            [mallows(20, dose, 40, seed=k) for k, dose in enumerate(order_dose.DOSES)]
        )
        cost = [cost_of(order, index // 40) for index, order in enumerate(orders)]
        share = discordant_share(orders).tolist()
        kept = {"orders": orders.tolist(), "cost": cost, "distance": share, "flips": cost}
        return kept | {"held_out": 0.5, "correct": "10", "assigned": {"correct": "10"}}

    def within(cost_of):
        lines = order_dose.pool([row(cost_of), row(cost_of)], tmp_path)
        (line,) = (x for x in lines if x["what"].startswith("effects foretell orders of one dose"))
        return line["mean"][0]

    assert abs(within(lambda order, dose: dose + 0.1 * random.normal())) < 0.15
    assert within(lambda order, dose: float(np.sum(order != np.arange(20)))) > 0.5
