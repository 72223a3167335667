"""Prompts that did not learn: shown in the tables, and in none of their means."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labkit import experiments
from labkit.experiments.base import models, runner
from labkit.experiments.base.recipe import RECIPES
from labkit.experiments.base.rows import learned

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

TABLES = (
    "order-dose",
    "first-place",
    "pruning",
    "connectivity",
    "worth-of-sorting",
    "order-search",
    "order-search-prompts",
    "sorter-memory",
)


@pytest.mark.parametrize("table", TABLES)
def test_a_prompt_that_did_not_learn_is_in_no_mean(
    monkeypatch, tiny_folder, tiny_task, tmp_path, table
):
    monkeypatch.setattr(runner, "load_task", lambda name: tiny_task)
    recipe = replace(RECIPES["causal"], length=5, steps=1, lr=1e-9, warmup=0)
    monkeypatch.setitem(RECIPES, "causal", recipe)
    models.shared_backbone.cache_clear()
    folder = str(tiny_folder("llama"))
    result = experiments.run(table, backbone=folder, out=tmp_path, seeds=(0, 1))
    assert result["rows"] and not any(row["learns"] for row in result["rows"])
    assert result.get("pooled", []) == result["verdict"] == []  # no gain or cost of 0 is counted
    assert all(row["n"] == len(tiny_task.split("test")) for row in result["rows"])  # scored
    found = {"orders", "patches", "kept", "order", "tau"}
    assert not any(found & set(row) for row in result["rows"])
    text = (tmp_path / f"{result['file']}.md").read_text(encoding="utf-8")
    assert text.count("does not learn") == len(result["rows"])


def test_rows_of_before_there_was_a_gate_count():
    rows = [{"seed": 0}, {"seed": 1, "learns": False}, {"seed": 2, "learns": True}]
    assert [row["seed"] for row in learned(rows)] == [0, 2]
