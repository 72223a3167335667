"""Plans: variances from stored matrices, times from this machine, numbers that are enough."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from labkit import experiments
from labkit.core.errors import LabError
from labkit.experiments import order, order_tables, planning
from labkit.experiments.base.recipe import Recipe
from labkit.experiments.base.setting import Experiment
from labkit.experiments.order import OrderSetting, order_row
from labkit.shuffle_probe import Components, Probe, components

RECIPE = Recipe(length=20, steps=50, batch_size=4, evaluate_every=5, patience=2)


@pytest.fixture
def table(tiny_folder, monkeypatch, tiny_task):
    """A table whose row is a tiny model's."""
    setting = OrderSetting("minilm", str(tiny_folder("llama")), RECIPE)
    monkeypatch.setattr(planning, "load_task", lambda name: tiny_task)
    return Experiment("table1", "", lambda backbone, profile: [setting], order_row)


def store(folder, table, probes):
    """The probes as rows of a result, one per seed."""
    (setting,) = table.settings(None, "small")
    rows = []
    for seed, probe in enumerate(probes):
        matrix = f"table1-m/minilm-seed{seed}.npz"
        probe.save(folder / matrix)
        about = {"setting": "minilm", "seed": seed, "backbone": setting.backbone}
        rows.append(about | {"matrix": matrix, "value": probe.baseline} | probe.summary())
    result = {"name": "table1", "command": "labkit run table1", "file": "table1-m", "rows": rows}
    (folder / "table1-m.json").write_text(json.dumps(result))


def stored(model):
    file = f"table1-{model}-rt-polarity/{model}-seed0.npz"
    return Probe.load(experiments.REFERENCE / file)


def test_a_plan_reads_variances_and_reaches_the_half_width(table, tmp_path):
    probe = stored("smollm2")
    store(tmp_path, table, [probe])
    plan = planning.plan_table(table, stored=tmp_path, half_width=0.3)
    (row,) = plan["rows"]
    assert Components(**row["variances"]) == components([probe])
    assert all(design["half_width"] <= 0.3 for design in row["plans"].values())
    assert row["steps"] == 2 * 2 * 5  # twice what it takes to see that validation stands still
    assert row["seconds"]["prompt"] > 0 and row["seconds"]["scoring"] > 0
    text = planning.as_markdown(plan)
    assert "± 30 points" in text and "unknown" in text
    several = planning.plan_table(table, stored=tmp_path, half_width=0.5, at_least_prompts=5)
    assert several["rows"][0]["plans"]["incomplete"]["prompts"] == 5


def test_several_stored_prompts_ask_for_several(table, tmp_path):
    first, second = stored("smollm2"), stored("minilm")  # as prompts that lie far apart
    assert np.array_equal(first.targets, second.targets)
    store(tmp_path, table, [first, second])
    plan = planning.plan_table(table, stored=tmp_path, half_width=0.4)
    (row,) = plan["rows"]
    assert row["variances"]["prompt"] > 0
    assert row["plans"]["incomplete"]["prompts"] >= 2
    narrow = planning.plan_table(table, stored=tmp_path, half_width=0.001)
    assert "out of reach" in narrow["rows"][0]["plans"]["full"]["out_of_reach"]
    assert "0.1 points is out of reach" in planning.as_markdown(narrow)


def test_what_training_leaves_is_planned_with_too(table, tmp_path, tiny_task, monkeypatch):
    """Sentences beyond the test split, where there are any and several prompts would read them."""
    pair = [stored("smollm2"), stored("minilm")]
    for left, probes, planned in ((8, pair, True), (0, pair, False), (8, pair[:1], False)):
        count = len(tiny_task.split("train"))
        monkeypatch.setitem(order.TRAINING_EXAMPLES, "small", count - left)
        store(tmp_path, table, probes)
        plan = planning.plan_table(table, stored=tmp_path, half_width=0.9)
        (row,) = plan["rows"]
        assert (planning.BEYOND in row["plans"]) == planned
        assert ("labkit run more-sentences" in planning.as_markdown(plan)) == planned
        if planned:
            plan = row["plans"][planning.BEYOND]
            assert plan["sentences"] <= len(tiny_task.split("test")) + left


def test_a_model_in_two_files_is_planned_from_the_one_with_more_prompts(table, tmp_path):
    """Alone, and beside another model: a seed of both files is not two prompts."""
    few, many = [stored("smollm2")], [stored("smollm2"), stored("minilm")]
    (setting,) = table.settings(None, "small")
    for files in ((few, many), (many, few)):
        for stem, probes in zip(("a", "b"), files, strict=True):
            store(tmp_path, table, probes)
            file = tmp_path / "table1-m.json"
            moved = file.read_text(encoding="utf-8").replace("table1-m", f"table1-{stem}")
            (tmp_path / f"table1-{stem}.json").write_text(moved, encoding="utf-8")
            file.unlink()
            shutil.rmtree(tmp_path / f"table1-{stem}", ignore_errors=True)
            (tmp_path / "table1-m").rename(tmp_path / f"table1-{stem}")
        assert len(planning.stored_probes("table1", setting, "rt-polarity", tmp_path)) == 2


def test_no_plan_is_made_from_a_matrix_that_another_row_left(table, tmp_path):
    (setting,) = table.settings(None, "small")
    store(tmp_path, table, [stored("smollm2"), stored("minilm")])
    stored("minilm").save(tmp_path / "table1-m/minilm-seed0.npz")
    (probe,) = planning.stored_probes("table1", setting, "rt-polarity", tmp_path)
    assert (probe.predictions == stored("minilm").predictions).all()


@pytest.mark.parametrize("name", ["order-worth", "order-search", "order-effect", "table8"])
def test_a_table_that_keeps_no_matrices_is_refused_and_no_pilot_is_asked_for(name, tmp_path):
    with pytest.raises(LabError, match=f"{name} keep no matrix .* table1 to table6"):
        experiments.power(name, stored=tmp_path)


def test_what_is_not_stored_cannot_be_planned_from(table, tmp_path):
    with pytest.raises(LabError, match="pilot"):
        planning.plan_table(table, stored=tmp_path)


@pytest.mark.parametrize("model", ["minilm", "smollm2"])
def test_the_courses_own_matrices_are_found(model):
    for setting in order_tables.EXPERIMENTS[0].settings(model, "small"):
        assert planning.stored_probes("table1", setting, "rt-polarity", experiments.REFERENCE)


def test_a_task_scored_by_a_correlation_is_named_and_the_others_are_planned(
    table, tmp_path, monkeypatch
):
    (setting,) = table.settings(None, "small")
    pair = [setting, replace(setting, name="ratings")]
    both = replace(table, settings=lambda backbone, profile: pair)
    right = stored("smollm2")
    ratings = replace(right, metric="pearson")
    monkeypatch.setattr(
        planning,
        "stored_probes",
        lambda name, setting, *_: [ratings if setting.name == "ratings" else right],
    )
    plan = planning.plan_table(both, stored=tmp_path, half_width=0.3)
    assert [row["setting"] for row in plan["rows"]] == ["minilm"]
    assert plan["correlations"] == ["ratings"] and "correlation" in planning.as_markdown(plan)
    alone = replace(table, settings=lambda backbone, profile: pair[1:])
    with pytest.raises(LabError, match="accuracy"):
        planning.plan_table(alone, stored=tmp_path)


def test_of_a_table_over_tasks_the_one_that_is_asked_for_is_planned(table, tmp_path, monkeypatch):
    (setting,) = table.settings(None, "small")
    tasks = [replace(setting, name=name, task=name) for name in ("rte", "sst2", "cola")]
    over_tasks = replace(table, settings=lambda backbone, profile: tasks)
    monkeypatch.setattr(planning, "stored_probes", lambda *_: [stored("smollm2")])
    plan = planning.plan_table(over_tasks, stored=tmp_path, task="rte", half_width=0.3)
    assert [row["setting"] for row in plan["rows"]] == ["rte"]
