"""Domain shift: fair training texts, the same model everywhere, differences by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labkit import experiments
from labkit.core.tasks import normalise
from labkit.experiments import domain_shift, lm_adaptation
from labkit.experiments.base import runner

DOMAINS = ("amazon-valence", "cr")


@pytest.fixture(autouse=True)
def quick(monkeypatch, tiny_task_named):
    tiny = {"steps": 2, "batch_size": 4, "length": 3}
    for readout, recipe in experiments.RECIPES.items():
        monkeypatch.setitem(experiments.RECIPES, readout, replace(recipe, **tiny))
    monkeypatch.setattr(domain_shift, "FINE_TUNING", replace(domain_shift.FINE_TUNING, **tiny))
    monkeypatch.setitem(domain_shift.FINE_TUNING_STEPS, "small", 2)
    monkeypatch.setattr(domain_shift, "DOMAINS", DOMAINS)
    monkeypatch.setattr(domain_shift, "here", lambda name: True)
    for module in (runner, lm_adaptation, domain_shift):
        monkeypatch.setattr(module, "load_task", tiny_task_named)


def test_both_methods_at_home_and_abroad(tiny_folder, tmp_path):
    folder = str(tiny_folder("bert-encoder"))
    result = experiments.run("domain-shift", backbone=folder, seeds=(0, 1), out=tmp_path)
    assert [(row["method"], row["seed"]) for row in result["rows"]] == [
        ("prompt", 0), ("fine-tuning", 0), ("prompt", 1), ("fine-tuning", 1),
    ]  # fmt: skip
    for row in result["rows"]:
        assert list(row["targets"]) == ["rt-polarity", *DOMAINS]
        assert row["targets"]["rt-polarity"]["value"] == row["value"]
    values = {(row["method"], row["seed"]): row["targets"]["cr"]["value"] for row in result["rows"]}
    by_hand = np.mean([values["prompt", s] - values["fine-tuning", s] for s in (0, 1)])
    assert domain_shift.shifts(result)["cr"].value == pytest.approx(by_hand)
    assert f"{by_hand:+.3f} [" in experiments.markdown(result)


def test_nothing_that_is_scored_was_trained_on(tiny_folder, tmp_path, monkeypatch, tiny_task_named):
    stolen = tiny_task_named("cr").split("test")[0]
    home = tiny_task_named("rt-polarity")
    leaking = replace(home, splits={**home.splits, "train": (stolen, *home.split("train"))})
    monkeypatch.setattr(runner, "load_task", lambda name: leaking)
    seen = []
    inner = domain_shift.trained
    monkeypatch.setattr(
        domain_shift, "trained", lambda s, task, *rest: seen.append(task) or inner(s, task, *rest)
    )
    folder = str(tiny_folder("bert-encoder"))
    experiments.run("domain-shift", backbone=folder, seeds=(0,), out=tmp_path)
    texts = {normalise(e.text) for task in seen for e in task.split("train")}
    assert texts and normalise(stolen.text) not in texts
