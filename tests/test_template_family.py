"""A family of near-identical templates: rows once, spreads that follow from the rows."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from labkit import experiments
from labkit.experiments import template_family
from labkit.experiments.base import runner
from labkit.experiments.base.setting import Place
from labkit.experiments.template_family import TEMPLATES, Family


@pytest.fixture
def quick(monkeypatch, tiny_task):
    monkeypatch.setitem(template_family.STEPS, "small", 2)
    monkeypatch.setitem(template_family.TRAINED, "small", 2)
    monkeypatch.setattr(runner, "load_task", lambda name: tiny_task)


def run(folder, out, **options):
    return experiments.run("p-tuning-family", backbone=str(folder), out=out, **options)


def row(method, member, seed, correct, losses=(1.0,), **more):
    return {
        "method": method,
        "member": member,
        "seed": seed,
        "correct": correct,
        "losses": list(losses),
        "value": correct.count("1") / len(correct),
        "n": len(correct),
        **more,
    }


def result_of(rows):
    return {"name": "p-tuning-family", "task": "t", "command": "c", "rows": rows}


def trained(values, losses=(1.0,)):
    """Rows from (member, seed) → correct, the same for both trained methods."""
    return [
        row(method, member, seed, correct, losses)
        for method in ("free", "encoder")
        for (member, seed), correct in values.items()
    ]


def hard(**values):
    return [row("hard", m, 0, c, calibrated=c) for m, c in values.items()]


def test_members_differ_from_the_first_in_one_word():
    first, *others = (text.split() for text in TEMPLATES.values())
    for words in others:
        assert len(words) == len(first)
        assert sum(a.strip(":") != b.strip(":") for a, b in zip(first, words, strict=True)) == 1


def test_hard_rows_once_trained_rows_per_seed(quick, tiny_folder, tmp_path):
    result = run(tiny_folder("llama"), tmp_path, seeds=(0, 1))
    counts = {m: [r["seed"] for r in result["rows"] if r["method"] == m] for m in ("hard", "free")}
    assert counts == {"hard": [0] * len(TEMPLATES), "free": [0, 0, 1, 1]}
    assert not any("learns" in row for row in result["rows"])  # no gate is held here
    encoders = [r for r in result["rows"] if r["method"] == "encoder"]
    assert [len(r["losses"]) for r in encoders] == [2] * 4
    assert not list(tmp_path.rglob("*.run"))
    (file,) = tmp_path.glob("*.json")
    assert "| free |" in file.with_suffix(".md").read_text()
    assert json.loads(file.read_text())["rows"] == result["rows"]


def test_a_run_that_stopped_goes_on_to_the_same_rows(quick, tiny_folder, tmp_path):
    whole = run(tiny_folder("llama"), tmp_path / "whole", seeds=(0, 1))

    def stop(done, total, what):
        if done == len(TEMPLATES) + 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tiny_folder("llama"), tmp_path / "cut", seeds=(0, 1), on_progress=stop)
    again = run(tiny_folder("llama"), tmp_path / "cut", seeds=(0, 1), resume=True)

    def plain(result):
        return [{k: v for k, v in r.items() if k != "seconds"} for r in result["rows"]]

    assert plain(again) == plain(whole)


def test_members_that_were_not_read_as_hard_prompts_stay_out(quick, tiny_folder, tmp_path):
    result = run(tiny_folder("llama"), tmp_path, seeds=(0,), only=("free*",))
    assert [r["method"] for r in result["rows"]] == ["free", "free"]
    family = Family.of(result_of(hard(a="11", b="10") + trained({(m, 0): "10" for m in "abc"})))
    assert family.members == ("a", "b")


def test_spread_is_the_deviation_over_members_averaged_over_seeds():
    family = Family.of(
        result_of(
            hard(a="1100", b="1111")
            + trained({("a", 0): "1110", ("b", 0): "1110", ("a", 1): "1100", ("b", 1): "1111"})
        )
    )
    of_halves = np.std([0.5, 1.0], ddof=1)
    assert family.spread("hard") == pytest.approx(of_halves)
    assert family.spread("free") == pytest.approx((0 + of_halves) / 2)
    difference = family.difference_of_spreads("hard", "free")
    assert difference.value == pytest.approx(of_halves / 2)
    assert difference.low <= difference.value <= difference.high


def test_the_interval_of_a_spread_is_what_drawing_the_examples_anew_gives():
    rng = np.random.default_rng(0)
    chances = {"hard": [0.5, 0.6, 0.7, 0.8, 0.9], "free": [0.78, 0.7, 0.82, 0.66, 0.9]}
    right = {
        method: (rng.random((1, 800, 5)) < each).swapaxes(1, 2) for method, each in chances.items()
    }
    drawn = []
    for _ in range(1000):
        chosen = rng.integers(800, size=800)
        hard_spread, free_spread = (
            right[method][0][:, chosen].mean(1).std(ddof=1) for method in ("hard", "free")
        )
        drawn.append(hard_spread - free_spread)
    low, high = np.quantile(drawn, [0.025, 0.975])
    found = Family(tuple("abcde"), (0,), right, {}).difference_of_spreads("hard", "free")
    assert found.high - found.low == pytest.approx(high - low, rel=0.15)
    assert found.low == pytest.approx(low, abs=0.1 * (high - low))


def test_members_without_training_and_seeds_with_a_gap_stay_out():
    rows = hard(a="10", b="11", c="11") + trained({("a", 0): "11", ("b", 0): "10", ("a", 1): "11"})
    family = Family.of(result_of(rows))
    assert family.members == ("a", "b")
    assert family.seeds == (0,)
    assert family.right["hard"].shape == (1, 2, 2)


def test_a_difference_of_scores_is_paired():
    values = {("a", 0): "1100", ("b", 0): "1100"}
    rows = hard(a="1000", b="1000") + trained(values)
    difference = Family.of(result_of(rows)).difference_of_scores("free", "hard")
    assert difference.value == pytest.approx(0.25)
    same = Family.of(result_of(rows)).difference_of_scores("free", "encoder")
    assert tuple(same) == (0, 0, 0)


def test_losses_are_compared_batch_by_batch():
    rows = hard(a="10", b="10") + trained({("a", 0): "10", ("b", 0): "10"}, losses=(4, 3))
    for made in rows:
        if made["method"] == "encoder" and made["member"] == "b":
            made["losses"] = [3.5, 3.0]
    difference = Family.of(result_of(rows)).difference_of_losses("encoder", "free")
    assert difference.tolist() == [[[0, 0], [-0.5, 0]]]


def test_a_report_of_a_run_that_has_just_begun():
    text = template_family.family_as_markdown(result_of(hard(a="10", b="11")))
    assert "| a | 0.500 | – | – | 0 |" in text


def test_calibration_is_free_of_the_labels(quick, tiny_folder, tmp_path):
    """Its share of each class is what the scores say, not what the targets say."""
    settings = template_family._settings(str(tiny_folder("llama")), "small")
    assert {s.method for s in settings} == set(template_family.METHODS)
    task = runner.load_task("any")
    place = Place(tmp_path, tmp_path, "c")
    kept = template_family.family_row(settings[0], task, 0, place)
    flipped = replace(
        task,
        splits={
            **task.splits,
            "test": tuple(replace(e, label=1 - e.label) for e in task.split("test")),
        },
    )
    other = template_family.family_row(settings[0], flipped, 0, place)
    assert all(a != b for a, b in zip(kept["calibrated"], other["calibrated"], strict=True))
