"""Named experiments: whole rows, nothing computed twice, verdicts that follow from the rows."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from labkit import experiments
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.statistics import Difference
from labkit.core.templates import Template, Verbalizer
from labkit.experiments import lester, lm_adaptation, soft_against_hard, training
from labkit.experiments.base import runner
from labkit.experiments.base.verdicts import (
    UNCHANGED,
    UNDECIDED,
    Claim,
    judge,
    summarise,
    told,
    verdict_line,
)
from labkit.soft_prompt import SoftPrompt, load_for, load_prompt, save_prompt
from numbers_apart import numbers_in, without_numbers

DECIMALS = re.compile(r"([+-]?\d+\.\d+)")
QUICK = {"steps": 2, "batch_size": 4, "length": 3}


@pytest.fixture(autouse=True)
def quick(monkeypatch, tiny_task):
    """Two steps on a tiny task: here the bookkeeping is tested, not the learning."""
    for readout, recipe in experiments.RECIPES.items():
        monkeypatch.setitem(experiments.RECIPES, readout, replace(recipe, **QUICK))
    monkeypatch.setitem(lester.ADAPTATION_STEPS, "small", (0, 2))
    monkeypatch.setattr(lester, "FINE_TUNING", replace(lester.FINE_TUNING, **QUICK))
    for module in (runner, lm_adaptation):
        monkeypatch.setattr(module, "load_task", lambda name: tiny_task)


def run(name, folder, out, **options):
    return experiments.run(name, backbone=str(folder), out=out, **options)


def rows_of(result):
    """Rows without what may differ between two runs of the same thing."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in result["rows"]]


def test_a_stopped_run_goes_on_to_the_uninterrupted_result(tiny_folder, tmp_path):
    whole = run("lester-init", tiny_folder("llama"), tmp_path / "whole", seeds=(0, 1))

    def stop(done, total, what):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("lester-init", tiny_folder("llama"), tmp_path / "cut", seeds=(0, 1), on_progress=stop)
    started = []
    again = run(
        "lester-init",
        tiny_folder("llama"),
        tmp_path / "cut",
        seeds=(0, 1),
        resume=True,
        on_progress=lambda done, total, what: started.append(done),
    )
    assert rows_of(again) == rows_of(whole)
    assert again["verdict"] == whole["verdict"]


def test_a_finished_table_is_reported_anew_with_all_its_seeds(tiny_folder, tmp_path):
    folder = tiny_folder("llama")
    run("lester-init", folder, tmp_path, seeds=(1,))
    whole = run("lester-init", folder, tmp_path, seeds=(0,), resume=True)
    (report,) = tmp_path.glob("*.md")
    before = report.read_text()
    report.unlink()
    again = run("lester-init", folder, tmp_path, seeds=(0,), resume=True)
    assert again["command"].endswith("--seeds 0,1") and report.read_text() == before
    assert (
        {row["seed"] for row in again["rows"]} == {row["seed"] for row in whole["rows"]} == {0, 1}
    )


def test_an_existing_result_is_never_overwritten(tiny_folder, tmp_path):
    run("lester-init", tiny_folder("llama"), tmp_path, seeds=(0,))
    (file,) = tmp_path.glob("*.json")
    before = file.read_bytes()
    with pytest.raises(LabError, match="--resume"):
        run("lester-init", tiny_folder("llama"), tmp_path, seeds=(0,))
    assert file.read_bytes() == before


def test_the_same_row_is_not_trained_twice(tiny_folder, tmp_path, monkeypatch):
    first = run("lester-init", tiny_folder("llama"), tmp_path, seeds=(0,))
    trained = []
    inner = training.fit
    monkeypatch.setattr(
        training, "fit", lambda *a, **o: trained.append(f"{a[3].lr:g}") or inner(*a, **o)
    )
    second = run("learning-rate", tiny_folder("llama"), tmp_path, seeds=(0,))
    shared = next(row for row in first["rows"] if row["setting"] == "vocab")
    copied = next(row for row in second["rows"] if row["lr"] == shared["lr"])
    assert copied["correct"] == shared["correct"]
    assert f"{shared['lr']:g}" not in trained and len(trained) == len(second["rows"]) - 1


def test_the_kept_prompt_has_the_score_of_its_row(tiny_folder, tiny_backbone, tiny_task, tmp_path):
    result = run("lester-init", tiny_folder("llama"), tmp_path, seeds=(1,))
    for row in result["rows"]:
        prompt, card = load_prompt(tmp_path / "lester-init-llama-tiny" / f"{row['setting']}-seed1")
        seen = evaluate(card.model(tiny_backbone("llama")), prompt, tiny_task)
        assert "".join("01"[int(right)] for right in seen.correct) == row["correct"]
        assert card.seed == 1 and card.scores["value"] == row["value"]


def test_controls_stand_beside_the_soft_prompt(tiny_folder, tmp_path, monkeypatch):
    templates_and_words = (
        {"plain": Template("{text} It was {mask}"), "now": Template("{text} Now it was {mask}")},
        {"words": Verbalizer({"negative": "bad", "positive": "good"})},
    )  # the course's own grid does not fit into the tiny model's 64 positions
    monkeypatch.setattr(
        soft_against_hard, "sentiment_grid", lambda readout, task, seed: templates_and_words
    )
    result = run("soft-against-hard", tiny_folder("llama"), tmp_path, seeds=(0,))
    by_method = {row["method"]: row for row in result["rows"]}
    assert set(by_method) == {"prompt", "hard", "untrained"}
    assert by_method["hard"]["cells"] == 2 * 1 * 3
    assert by_method["untrained"]["loss"] is None


@pytest.mark.parametrize("name", ["lester-objective", "lester-adaptation", "lester-scale"])
def test_the_experiments_about_t5_run_on_a_tiny_one(name, tiny_folder, tmp_path):
    result = run(name, tiny_folder("t5"), tmp_path, seeds=(0,))
    settings = [row["setting"] for row in result["rows"]]
    assert len(settings) == len(set(settings)) >= 2
    assert all(len(row["correct"]) == row["n"] for row in result["rows"])
    assert "| setting |" in (tmp_path / f"{name}-t5-tiny.md").read_text(encoding="utf-8")


def test_adaptation_changes_the_weights_and_freezes_them(tiny_folder, tiny_backbone):
    before = tiny_backbone("t5").state_dict()
    backbone = lm_adaptation.adapted(str(tiny_folder("t5")), steps=2, seed=0)
    after = backbone.state_dict()
    assert any(not np.array_equal(before[k].numpy(), after[k].numpy()) for k in before)
    assert not any(p.requires_grad for p in backbone.parameters())


def test_an_adapted_model_is_its_seeds_own_and_keeps_its_prompts_to_itself(
    tiny_folder, tiny_backbone, tiny_task, tmp_path
):
    folder = str(tiny_folder("t5"))
    backbone = lm_adaptation.adapted(folder, steps=2, seed=0)
    torch.rand(3)  # whatever was drawn before
    again, other = (lm_adaptation.adapted(folder, steps=2, seed=seed) for seed in (0, 1))
    weights, same, others = (list(b.parameters()) for b in (backbone, again, other))
    assert all(torch.equal(p, q) for p, q in zip(weights, same, strict=True))
    assert not all(torch.equal(p, q) for p, q in zip(weights, others, strict=True))
    prompt = SoftPrompt.from_vocab(backbone, 3)
    save_prompt(tmp_path / "p", prompt, PromptedModel.for_task(backbone, tiny_task))
    assert torch.equal(load_for(again, tmp_path / "p")[0](), prompt())
    for model in (other, tiny_backbone("t5")):
        with pytest.raises(LabError, match="adapted for 2 steps, seed 0"):
            load_for(model, tmp_path / "p")


def test_t5_is_asked_for_by_name():
    with pytest.raises(LabError, match="T5"):
        experiments.run("lester-scale", profile="small")
    with pytest.raises(LabError, match="there are table1"):
        experiments.run("lester-size")


def _row(setting, seed, right):
    return {
        "setting": setting,
        "seed": seed,
        "value": np.mean(right),
        "correct": right_string(right),
    }


def right_string(right):
    return "".join("01"[int(r)] for r in right)


@pytest.mark.parametrize(
    ("gain", "loss", "verdict"),
    [(0.2, 0, "agrees"), (0, 0.2, "disagrees"), (0.15, 0.1, "can't tell")],
)
def test_verdicts_follow_the_paired_difference(gain, loss, verdict):
    """Six answers in ten are right: 0.15 of the wrong ones gained and 0.1 of the right ones lost
    are no difference."""
    random = np.random.default_rng(0)
    rows = []
    for seed in range(3):
        base, draw = random.random(400) < 0.6, random.random(400)
        better = np.where(draw < gain, True, np.where(draw > 1 - loss, False, base))
        rows += [_row("a", seed, better), _row("b", seed, base)]
    (judged,) = judge(rows, (Claim("a beats b", "a", "b"),))
    assert judged["verdict"] == verdict
    by_hand = np.mean([rows[2 * s]["value"] - rows[2 * s + 1]["value"] for s in range(3)])
    assert judged["difference"] == pytest.approx(by_hand)


def test_where_no_answer_differs_no_effect_is_said_to_have_been_detectable():
    """An interval without width comes of equal answers, and not of many data."""
    rows = [_row(name, seed, np.arange(40) % 3 > 0) for seed in range(3) for name in "ab"]
    (judged,) = judge(rows, (Claim("a beats b", "a", "b"),))
    assert judged["verdict"] == "nothing changed" and "detectable" not in judged
    assert "would have shown" not in verdict_line(judged)


def test_a_difference_is_told_with_what_would_have_shown_only_where_nothing_is_seen():
    """Half an interval is 1.96 standard errors, and what shows with 80 % power 2.80 of them."""
    seen, unseen, alike = (0.02, 0.01, 0.03), (0.004, -0.0156, 0.0236), (0.0, 0.0, 0.0)
    assert told(Difference(*seen)) == "+0.020 [+0.010, +0.030]"
    assert told(Difference(*unseen)) == "+0.004 [-0.016, +0.024], 0.028 would have shown"
    assert told(Difference(*alike)) == "+0.000 [+0.000, +0.000]"


def scores_in(part):
    """Every score in a row: its own, its targets', and those of a target under several inputs."""
    if isinstance(part, dict):
        if "metric" in part:
            yield part
        for each in part.values():
            yield from scores_in(each)


def test_all_stored_results_of_an_experiment_are_there_by_their_models():
    """And none of another experiment whose name goes on."""
    stored = experiments.references("order-search")
    assert set(stored) >= {"minilm", "smollm2"}
    for models, result in stored.items():
        assert result["name"] == "order-search"
        assert {row["backbone"] for row in result["rows"]} == set(models.split("+"))
    assert not experiments.references("order-search", "no-such-task")


def test_a_prompt_that_did_not_learn_counts_in_no_mean_but_that_of_a_method():
    rows = [
        {"setting": "a", "method": "prompt", "seed": seed, "value": value, "learns": value > 0.6}
        for seed, value in enumerate((0.9, 0.7, 0.5))
    ]
    for name, mean in (("table4", 0.8), ("table8", 0.7)):
        result = {"rows": list(rows)}
        experiment = replace(experiments.EXPERIMENTS[name], pool=None, judge_row=None)
        runner.conclude(experiment, result, experiments.REFERENCE)
        assert [line["mean"] for line in result["summary"]] == [pytest.approx(mean)]


def test_reference_results_are_whole():
    """What the notebooks quote: each file names its command, and every row its sentences."""
    files = sorted(experiments.REFERENCE.glob("*.json"))
    assert files
    for file in files:
        result = json.loads(file.read_text(encoding="utf-8"))
        assert result["command"].startswith("labkit ")
        counted = experiments.EXPERIMENTS[result["name"]].counted(result["rows"])
        for kept, now in zip(result["summary"], summarise(counted), strict=True):
            numbers = [[each["mean"], *(each["ci95"] or ())] for each in (kept, now)]
            assert numbers[0] == pytest.approx(
                numbers[1]
            )  # scipy's releases differ in a last digit
            assert (kept["setting"], kept["seeds"]) == (now["setting"], now["seeds"])
        # counts of examples, and changes of a loss: nothing scored
        if result["name"] in ("table7", "swap-prediction"):
            continue
        for row in result["rows"]:
            if result["name"] in ("first-place", "connectivity"):  # losses, and no answers
                per_list = row["n"] if result["name"] == "first-place" else len(row["points"])
                lists = [*row["losses"].values(), *(p["losses"] for p in row.get("patches", ()))]
                assert {len(losses) for losses in lists} == {per_list}
                assert np.isfinite(lists).all() and np.isfinite(row["value"])
                continue
            scores = list(scores_in(row))
            assert scores
            for each in scores:
                if each["metric"] == "accuracy":
                    right = [c == "1" for c in each["correct"]]
                    assert len(right) == each["n"]
                    assert np.mean(right) == pytest.approx(each["value"])
                assert each["ci95"][0] < each["value"] < each["ci95"][1]
            if "metric" not in row:  # a row that is the mean of its targets
                targets = row["targets"].values()
                assert row["n"] == sum(each["n"] for each in targets)
                assert row["value"] == pytest.approx(np.mean([each["value"] for each in targets]))


def test_no_stored_verdict_is_undecided_without_the_smallest_effect_it_could_have_shown():
    for file in sorted(experiments.REFERENCE.glob("*.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        rows = [*result["rows"], *result.get("pooled", ())]
        judged = [*result["verdict"], *(row["verdict"] for row in rows if "verdict" in row)]
        for each in judged:
            for one in each if isinstance(each, list) else [each]:
                decided = one["verdict"] != UNDECIDED
                assert decided != ("detectable" in one), f"{file.name}: {one['claim']}"
                nothing = one["ci95"] == [0, 0]
                assert nothing == (one["verdict"] == UNCHANGED), f"{file.name}: {one['claim']}"
        for line in file.with_suffix(".md").read_text(encoding="utf-8").splitlines():
            assert UNDECIDED not in line or "would have shown" in line, f"{file.name}: {line}"


def test_verdicts_are_made_again_from_rows_that_stay_as_they_were(tmp_path):
    stem = "swaps-minilm-rt-polarity"
    for ending in (".json", ".md"):
        shutil.copy(experiments.REFERENCE / f"{stem}{ending}", tmp_path)
    file = tmp_path / f"{stem}.json"
    experiments.conclude_again(tmp_path)  # another release of scipy may differ in a last digit
    whole = file.read_text(encoding="utf-8")
    older = json.loads(whole)
    for judged in older["rows"][0]["verdict"]:
        judged.pop("detectable", None)
    file.write_text(json.dumps(older), encoding="utf-8")
    (tmp_path / "notes.json").write_text("[]", encoding="utf-8")
    assert experiments.conclude_again(tmp_path) == [stem]
    assert file.read_text(encoding="utf-8") == whole
    assert not experiments.conclude_again(tmp_path)


def test_stored_results_follow_from_their_rows_by_the_code_as_it_is(tmp_path):
    """A result that was stored, and not made again after a change of what is concluded from rows:
    its verdict, its report and the notebooks that quote it would still say the old thing."""
    again = tmp_path / "reference"
    shutil.copytree(experiments.REFERENCE, again)
    experiments.conclude_again(again)
    for file in sorted(experiments.REFERENCE.glob("*.json")):
        stored, now = (json.loads((f / file.name).read_text("utf-8")) for f in (file.parent, again))
        for part in ("rows", "summary", "verdict", "pooled"):
            ours, theirs = now.get(part), stored.get(part)
            assert without_numbers(ours) == without_numbers(theirs), f"{file.name}: {part}"
            close = pytest.approx(numbers_in(theirs), rel=1e-6, abs=1e-9)
            assert numbers_in(ours) == close, f"{file.name}: {part}"
        ours, theirs = (
            DECIMALS.split((f / file.name).with_suffix(".md").read_text("utf-8"))
            for f in (again, file.parent)
        )
        assert ours[::2] == theirs[::2], file.name
        numbers = [[float(number) for number in text[1::2]] for text in (ours, theirs)]
        assert numbers[0] == pytest.approx(numbers[1], abs=1.1e-3), file.name
