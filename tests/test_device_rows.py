"""Rows of experiments on a pretended accelerator, with bf16 models, as a GPU would run them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from accelerator import pretended, there
from labkit import experiments
from labkit.core.loading import load_backbone, readout_of
from labkit.core.statistics import Difference
from labkit.experiments import (
    first_place,
    glue_tables,
    lester,
    lm_adaptation,
    order,
    order_tables,
    order_worth,
    template_family,
    training,
)
from labkit.experiments.base import models, runner
from labkit.experiments.base.recipe import RECIPES
from labkit.shuffle_probe import Shuffle


@pytest.fixture
def device(monkeypatch, tiny_task_named):
    """Two steps, few orders, and a gate that lets everything through: only places are tested."""
    monkeypatch.setenv("LABKIT_DTYPE", "bfloat16")
    for module in (runner, lm_adaptation):
        monkeypatch.setattr(module, "load_task", tiny_task_named)
    for module in (models, training, lm_adaptation, glue_tables):
        monkeypatch.setattr(module, "load_backbone", there(load_backbone))
    monkeypatch.setattr(order, "learns", lambda gate: True)
    monkeypatch.setattr(order, "has_bf16", lambda device: True)
    monkeypatch.setattr(order_worth, "STEPS", 2)
    monkeypatch.setitem(glue_tables.FINE_TUNING_STEPS, "small", 2)
    monkeypatch.setitem(template_family.STEPS, "small", 2)
    monkeypatch.setattr(first_place, "costs_something", lambda *losses: True)
    monkeypatch.setattr(first_place, "restored_share", lambda *losses: Difference(0.5, 0.1, 0.9))
    for readout, recipe in RECIPES.items():
        short = replace(recipe, length=8, steps=2, batch_size=4, warmup=0)
        monkeypatch.setitem(RECIPES, readout, short)
    monkeypatch.setitem(lester.ADAPTATION_STEPS, "small", (0, 2))
    monkeypatch.setattr(order_tables, "recipe_for", lambda name, *_: RECIPES[readout_of(name)])
    monkeypatch.setattr(Shuffle, "draw", few(Shuffle.draw))
    models.shared_backbone.cache_clear()
    with pretended() as device:
        yield str(device)
    models.shared_backbone.cache_clear()


def few(draw):
    return lambda self, length, count, *more: draw(self, length, min(count, 3), *more)


ROWS = {
    "order-effect": "bert-encoder",
    "table1": "llama",
    "placement": "t5",
    "first-place": "llama",
    "lester-objective": "t5",
    "table8": "llama",
    "p-tuning-family": "llama",
}


# of tasks, and of templates, that all go the same way one
ONLY = {"table8": ("sst2, *",), "p-tuning-family": ("*: as it is",)}


@pytest.mark.parametrize(("name", "family"), ROWS.items())
def test_rows_run_there(name, family, device, tiny_folder, tmp_path):
    folder = str(tiny_folder(family))
    given = {"seeds": (0,), "out": tmp_path, "only": ONLY.get(name, ())}
    result = experiments.run(name, backbone=folder, **given)
    assert result["rows"] and {row["device"] for row in result["rows"]} == {device}
