"""Searches on prompts that lean on their order and on some that do not, row by row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labkit import experiments
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.experiments import worth_of_sorting
from labkit.experiments.base import runner
from labkit.experiments.base.recipe import RECIPES
from labkit.experiments.base.rows import from_digits
from labkit.soft_prompt import SoftPrompt, load_prompt

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def test_rows_are_found_orders_of_the_prompts_that_they_name(
    monkeypatch, tiny_folder, tiny_task, tmp_path
):
    monkeypatch.setattr(runner, "load_task", lambda name: tiny_task)
    monkeypatch.setitem(worth_of_sorting.BUDGETS, "small", 200)
    recipe = replace(RECIPES["causal"], length=5, lr=0.05, steps=2, warmup=0)
    monkeypatch.setitem(RECIPES, "causal", recipe)
    worth_of_sorting.shared_backbone.cache_clear()
    folder = str(tiny_folder("llama"))
    result = experiments.run("worth-of-sorting", backbone=folder, out=tmp_path, seeds=(0, 1))
    assert len(result["rows"]) == 2 * 2 * 9
    kept = [load_prompt(path)[0]().detach() for path in (tmp_path / "prompts").iterdir()]
    assert len(kept) == 2 * 2  # one for each way and seed, whatever is searched
    model = PromptedModel.for_task(worth_of_sorting.shared_backbone(folder), tiny_task)

    def right(vectors):
        limit = worth_of_sorting.SENTENCES
        return evaluate(model, SoftPrompt(vectors), tiny_task, limit=limit).correct.tolist()

    plain = [right(vectors) for vectors in kept]
    for row in result["rows"]:
        assert sorted(row["order"]) == list(range(5)) and row["loss"] <= row["loss_before"]
        moved = [right(vectors[row["order"]]) for vectors in kept]
        pair = from_digits(row["before"]["correct"]).tolist(), from_digits(row["correct"]).tolist()
        assert pair in list(zip(plain, moved, strict=True)), row["setting"]
    lines = {line["setting"]: line["mean_difference"][0] for line in result["pooled"]}
    assert sum("kept" in line for line in result["pooled"]) == 2 * 9
    swaps = [row for row in result["rows"] if row["setting"] == "order-proof, swap"]
    gain = np.mean([row["value"] - row["before"]["value"] for row in swaps])
    assert lines["order-proof, swap"] == pytest.approx(gain)
    chosen = {row["setting"].split(", ")[-1]: row["choose_by"] for row in result["rows"]}
    assert chosen.pop("development set") == "validation"
    assert chosen.pop("without labels") == "entropy"
    assert set(chosen.values()) == {"train"}


def test_a_search_that_found_no_other_order_changed_nothing():
    right = {"correct": "1101", "before": {"correct": "1101", "value": 0.75}, "learns": True}
    common = right | {"n": 4, "value": 0.75, "loss": 0.5, "loss_before": 0.5}
    rows = [
        common
        | {"setting": f"ordinary, {method}", "way": "ordinary", "method": method}
        | {"seed": seed, "order": [1, 0, 2] if method == "swap" and seed else [0, 1, 2]}
        for method in ("random", "swap")
        for seed in (0, 1)
    ]
    kept, moved = worth_of_sorting.pool(rows, out=None)  # and nothing held against the random ones
    assert (kept["method"], kept["kept"]) == ("random", 2)
    assert (moved["method"], moved["kept"]) == ("swap", 1)
    result = {"rows": rows, "pooled": [kept, moved], "name": "worth-of-sorting", "command": "c"}
    report = worth_of_sorting.as_markdown(result | {"task": "films"})
    assert report.count("nothing changed") == 2 and "would have shown" not in report


def test_searches_that_found_an_order_are_held_against_the_best_of_random_ones():
    """Two prompts, four sentences; swaps are right on one more than random orders, then on two."""
    answers = {
        ("swap", 0): "1110",
        ("random", 0): "1100",
        ("swap", 1): "1111",
        ("random", 1): "1100",
    }
    before = {"correct": "0000", "value": 0.0}
    rows = [
        {"setting": f"{way}, {method}", "way": way, "method": method, "seed": seed}
        | {"correct": correct, "before": before, "learns": True, "order": [1, 0]}
        for way in ("ordinary", "order-proof")
        for (method, seed), correct in answers.items()
    ]
    against = [line for line in worth_of_sorting.pool(rows, out=None) if "over" in line]
    assert [line["setting"] for line in against] == [
        "ordinary, swap − random",
        "order-proof, swap − random",
    ]
    for line in against:
        assert line["by_prompt"] == [0.25, 0.5] and line["mean_difference"][0] == 0.375


@pytest.mark.parametrize("seeds_of_swaps", [(2, 3), (1, 2)])
def test_searches_of_fewer_than_two_common_prompts_are_not_held_against_each_other(seeds_of_swaps):
    """As a stopped run or --only leaves them: each has two prompts, both have one or none."""
    before = {"correct": "0000", "value": 0.0}
    rows = [
        {"setting": f"ordinary, {method}", "way": "ordinary", "method": method, "seed": seed}
        | {"correct": "1100", "before": before, "learns": True, "order": [1, 0]}
        for method, seeds in (("random", (0, 1)), ("swap", seeds_of_swaps))
        for seed in seeds
    ]
    lines = worth_of_sorting.pool(rows, out=None)
    assert [line["setting"] for line in lines] == ["ordinary, random", "ordinary, swap"]
