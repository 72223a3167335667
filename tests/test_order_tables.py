"""Tables 1–6: rows that follow from their kept matrices, the gate, and nothing computed twice."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import tiny
from labkit import experiments
from labkit.audit.tables import printed
from labkit.core.engines import LocalEngine
from labkit.core.errors import LabError
from labkit.core.loading import load_backbone
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.experiments import order, order_reading, order_report, order_tables
from labkit.experiments.base import runner
from labkit.experiments.base.recipe import Recipe
from labkit.experiments.base.setting import Experiment
from labkit.experiments.evidence import Result
from labkit.experiments.order import OrderSetting
from labkit.shuffle_probe import Probe, Shuffle
from labkit.soft_prompt import load_prompt

RECIPE = Recipe(length=5, steps=2, batch_size=4)
TABLES = [f"table{number}" for number in range(1, 7)]


@pytest.fixture(autouse=True)
def tiny_everything(monkeypatch, tiny_task):
    """Two steps on a tiny task, and a gate that lets it through: the bookkeeping is tested."""
    monkeypatch.setattr(runner, "load_task", lambda name: tiny_task)
    monkeypatch.setattr(order, "learns", lambda gate: True)
    order.shared_backbone.cache_clear()


@pytest.fixture
def run(tiny_folder, tmp_path):
    """Runs a table of given settings (name → what it changes) on a tiny model."""

    def start(settings, family="llama", table=2, recipe=RECIPE, **options):
        made = [
            OrderSetting(name, str(tiny_folder(family)), recipe, **{"permutations": 4, **changes})
            for name, changes in settings.items()
        ]
        experiment = Experiment(
            f"table{table}",
            "",
            lambda b, p: made,
            order.order_row,
            relabel=order.relabel,
            report=order_report.as_markdown,
            pool=order.pool,
        )
        asked = {"profile": "small", "backbone": None, "task": None, "seeds": (0,), "limit": None}
        asked |= {"resume": False, "on_progress": None, "out": tmp_path}
        asked["engine"] = LocalEngine(workers=1)
        return runner.run_grid(experiment, **(asked | options))

    return start


def without_seconds(result):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in result["rows"]]


BLOCKS = {"single": {}, "blocks": {"shuffle": Shuffle(unit=2)}}


@pytest.mark.parametrize("family", ["llama", "bert-encoder", "bert", "roberta", "t5"])
def test_a_row_follows_from_its_kept_matrix(run, tiny_backbone, tiny_task, tmp_path, family):
    result = run(BLOCKS, family)
    (folder,) = tmp_path.glob("table2-*/")
    for row in result["rows"]:
        probe = Probe.load(folder / f"{row['setting']}-seed0.npz")
        assert row["scores"] == pytest.approx(probe.correct.mean(1).tolist(), abs=1e-6)
        assert [row["worse"], row["better"], row["equal"]] == list(probe.counts)
        assert row["value"] == row["baseline"] == probe.baseline
        assert row["permutations"] == 4 and row["available"] == (
            119 if row == result["rows"][0] else 5
        )
    (kept,) = (tmp_path / "prompts").iterdir()
    prompt, card = load_prompt(kept)
    bare = card.model(tiny_backbone(family)).with_changes(positions=False)
    without = evaluate(bare, prompt, tiny_task, limit=256).value
    assert result["rows"][0]["no_positions"]["value"] == without


def test_a_stopped_table_goes_on_to_the_uninterrupted_one(run, tmp_path):
    whole = run(BLOCKS, seeds=(0, 1), out=tmp_path / "whole")
    for stop_at in (0.2, 0.8, 1.6, 3.2):

        def stop(done, total, what, stop_at=stop_at):
            if done >= stop_at:
                raise KeyboardInterrupt

        out = tmp_path / f"cut-{stop_at}"
        with pytest.raises(KeyboardInterrupt):
            run(BLOCKS, seeds=(0, 1), out=out, on_progress=stop)
        again = run(BLOCKS, seeds=(0, 1), out=out, resume=True)
        assert without_seconds(again) == without_seconds(whole)
        assert not list(out.rglob("*.run"))


def test_a_waiting_row_whose_matrix_was_overwritten_is_made_again(run, tmp_path):
    """As a run leaves it that is stopped between a matrix and its row."""
    whole = run(BLOCKS)
    file = tmp_path / f"{whole['file']}.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content |= {"rows": [], "stale": content["rows"]}
    file.write_text(json.dumps(content), encoding="utf-8")
    matrix = tmp_path / whole["rows"][0]["matrix"]
    before = Probe.load(matrix)
    replace(before, predictions=1 - before.predictions).save(matrix)
    notes = []
    again = run(BLOCKS, resume=True, note=notes.append)
    assert notes == ["blocks, seed 0: taken back, it fits again"]
    assert without_seconds(again) == without_seconds(whole)
    assert (Probe.load(matrix).predictions == before.predictions).all()


def of_fewer_sentences(run, out, stem):
    """Run the table of that file again on 8 sentences, into matrices of the same names."""
    (out / f"{stem}.json").unlink()
    return run({"single": {}}, seeds=(0, 1), limit=8, out=out)


def test_a_taken_row_whose_matrix_another_table_rewrote_is_made_again(run, tmp_path):
    first = run({"single": {}}, seeds=(0, 1))
    taken = run({"again": {}}, table=3, seeds=(0, 1))
    also = run({"too": {}}, table=5, seeds=(0, 1))
    assert [r["matrix"] for r in taken["rows"]] == [r["matrix"] for r in first["rows"]]
    fewer = of_fewer_sentences(run, tmp_path, first["file"])
    assert fewer["rows"][0]["n"] == 8 < taken["rows"][0]["n"]
    notes = []
    again = run({"again": {}}, table=3, seeds=(0, 1), resume=True, note=notes.append)
    assert [note.split(" (")[1] for note in notes] == ["its matrix is gone, or another row's)"] * 2
    for row, before in zip(again["rows"], taken["rows"], strict=True):
        assert row["matrix"].startswith(f"{again['file']}/")
        probe = Probe.load(tmp_path / row["matrix"])
        assert probe.correct.mean(1).tolist() == pytest.approx(row["scores"], abs=1e-6)
        assert row["scores"] == before["scores"] and "stale" not in again
    assert again["pooled"] == taken["pooled"]
    # the next table that had taken the row takes it from where it is whole now
    third = run({"too": {}}, table=5, seeds=(0, 1), resume=True)
    assert [r["matrix"] for r in third["rows"]] == [r["matrix"] for r in again["rows"]]
    assert third["pooled"] == also["pooled"]


def test_a_matrix_that_another_table_rewrote_is_pooled_and_shown_nowhere(run, tmp_path):
    first = run({"single": {}}, seeds=(0, 1))
    taken = run({"again": {}}, table=3, seeds=(0, 1))
    of_fewer_sentences(run, tmp_path, first["file"])
    runner.conclude(experiments.EXPERIMENTS["table3"], taken, tmp_path)
    assert taken["pooled"] == []
    assert "matrices of 2 of 2 prompts are not here" in order_report.as_markdown(taken)
    assert Result(tmp_path / f"{taken['file']}.json", taken).probes("again") == {}
    with pytest.raises(LabError, match=r"single-seed0\.npz is gone, or holds another matrix"):
        order_reading.first_probe(taken, "again", tmp_path)


def test_one_prompt_serves_all_rows_and_tables(run, monkeypatch):
    trained = []
    inner = order.fit
    monkeypatch.setattr(order, "fit", lambda *a, **o: trained.append(1) or inner(*a, **o))
    first = run(BLOCKS)
    assert len(trained) == 1
    monkeypatch.setattr(order, "probe_order", None)  # would fail if used
    second = run({"again": {"paper": "3:10-99"}}, table=3)
    assert len(trained) == 1
    assert second["rows"][0]["scores"] == first["rows"][0]["scores"]
    # the paper counts more better than worse orders here, so the claim is the other way round
    assert "above" in second["rows"][0]["verdict"][0]["claim"]
    assert "below" in first["rows"][0]["verdict"][0]["claim"]


def test_what_is_trained_otherwise_is_another_prompt(run, tmp_path):
    run({"a": {}, "b": {"positions": False}, "c": {"bos": "first"}}, seeds=(0, 1))
    cards = [load_prompt(folder)[1] for folder in (tmp_path / "prompts").iterdir()]
    kinds = sorted((card.positions, card.bos, card.seed) for card in cards)
    assert kinds == [(False, "text", s) for s in (0, 1)] + [
        (True, bos, s) for bos in ("first", "text") for s in (0, 1)
    ]


def test_what_does_not_learn_is_kept_and_not_probed(run, monkeypatch, tmp_path):
    monkeypatch.setattr(order, "learns", lambda gate: False)
    monkeypatch.setattr(order, "probe_order", None)  # would fail if used
    rows = run({"stuck": {}}, seeds=(0, 1, 2))["rows"]
    assert [(row["seed"], row["learns"]) for row in rows] == [(s, False) for s in (0, 1, 2)]
    assert all("scores" not in row for row in rows)
    assert "does not learn" in next(tmp_path.glob("*.md")).read_text(encoding="utf-8")


def test_several_prompts_are_pooled_over_all_that_was_drawn(run, tmp_path):
    assert run({"single": {}})["pooled"] == []
    result = run(
        {"single": {}, "blocks": {"shuffle": Shuffle(unit=2)}}, seeds=(0, 1, 2), resume=True
    )
    for row in result["pooled"]:
        probes = [Probe.load(tmp_path / r["matrix"]) for r in result["rows"]
                  if r["setting"] == row["setting"]]  # fmt: skip
        assert row["prompts"] == len(probes) == 3
        by_hand = np.mean([probe.scores.mean() - probe.baseline for probe in probes])
        assert row["mean_difference"][0] == pytest.approx(by_hand)
        assert set(row["half_widths"]) == {"prompts", "orders", "sentences"}
        ends = row["mean_difference"][1:]
        undecided = ends[0] <= 0 <= ends[1]
        assert ("detectable" in row["verdict"]) is undecided
    report = next(tmp_path.glob("table2-*.md")).read_text(encoding="utf-8")
    assert "## Over prompts" in report and "over 3 prompts" in report
    assert report.count("would have shown") == report.count("can't tell") > 0


def test_every_claim_is_pooled_over_the_prompts(run, tmp_path):
    result = run({"single": {}}, seeds=(0, 1, 2))
    (line,) = result["pooled"]
    best = [row["best_held_out"][0] for row in result["rows"]]
    bare = [row["no_positions"]["difference"][0] for row in result["rows"]]
    assert line["best_held_out"][0] == pytest.approx(np.mean(best))
    assert line["no_positions"][0] == pytest.approx(np.mean(bare))
    for low, high, values in (
        (*line["best_held_out"][1:], best),
        (*line["no_positions"][1:], bare),
    ):
        assert low <= np.mean(values) <= high
    claims = [judged["claim"] for judged in line["other_verdicts"]]
    assert [("best order" in c, "positions" in c) for c in claims] == [(True, False), (False, True)]
    (here,) = {f"{row['device']} {row['dtype']}" for row in result["rows"]}
    assert line["scored_on"] == [here]
    report = next(tmp_path.glob("table2-*.md")).read_text(encoding="utf-8")
    assert all(claim in report for claim in claims) and "3 × 4 × " in report
    assert set(order_reading.effects(result)) == {"single"}
    effect = order_reading.effects(result, "no_positions")["single"]
    assert (effect.prompts, effect.difference.value) == (3, line["no_positions"][0])


def test_a_correlation_without_positions_is_pooled_from_its_predictions():
    random = np.random.default_rng(0)
    targets = random.normal(size=(40,))
    trained, bare = targets + random.normal(size=(2, 3, 40))
    rows, falls = [], []
    for answers, without in zip(trained, bare, strict=True):
        probe = Probe(np.arange(3)[None], answers[None], answers, targets, "pearson")
        rows.append(({"no_positions": {"predictions": without.tolist()}}, probe))
        falls.append(np.corrcoef(without, targets)[0, 1] - np.corrcoef(answers, targets)[0, 1])
    kept = [order._without_positions(row, probe) for row, probe in rows]
    assert order.mean_effect(kept).value == pytest.approx(np.mean(falls))
    assert order._without_positions({"no_positions": {"value": 0.5}}, rows[0][1]) is None


def test_a_prompt_that_did_not_pass_counts_nowhere_and_is_named(run, monkeypatch, tmp_path):
    gates = iter([True, False, True])
    monkeypatch.setattr(order, "learns", lambda gate: next(gates))
    result = run({"single": {}}, seeds=(0, 1, 2))
    assert [row["learns"] for row in result["rows"]] == [True, False, True]
    (line,) = result["pooled"]
    assert (line["prompts"], line["rows"]) == (2, 3)
    learned = [row["mean_difference"][0] for row in result["rows"] if row["learns"]]
    assert line["mean_difference"][0] == pytest.approx(np.mean(learned))
    report = next(tmp_path.glob("table2-*.md")).read_text(encoding="utf-8")
    assert order_reading.effects(result)["single"].prompts == 2
    first = order_reading.first_prompts({**result, "rows": result["rows"][1:]})["single"]
    assert first["seed"] == 2
    probe = order_reading.first_probe(result, "single", tmp_path)
    assert probe.scores.tolist() == pytest.approx(result["rows"][0]["scores"], abs=1e-6)
    alone = order_reading.effects({"rows": result["rows"][:1]}, "best_held_out")["single"]
    assert (*alone.difference,) == (*result["rows"][0]["best_held_out"],) and alone.prompts == 1
    assert "- single: seed 1 did not pass the gate and counts nowhere" in report


def test_prompts_that_can_not_be_pooled_are_named(run, tmp_path):
    result = run({"single": {}}, seeds=(0, 1, 2))
    (tmp_path / result["rows"][1]["matrix"]).unlink()
    runner.conclude(experiments.EXPERIMENTS["table2"], result, tmp_path)
    assert result["pooled"][0]["prompts"] == 2
    assert "matrices of 1 of 3 prompts are not here" in order_report.as_markdown(result)
    result["rows"][0]["device"] = "cuda"
    runner.conclude(experiments.EXPERIMENTS["table2"], result, tmp_path)
    assert [name.split()[0] for name in result["pooled"][0]["scored_on"]] == ["cuda", "cpu"]
    assert " and cpu " in order_report.as_markdown(result)
    probe = Probe.load(tmp_path / result["rows"][2]["matrix"])
    more = np.append(probe.targets, 0)
    longer = replace(
        probe,
        predictions=np.hstack([probe.predictions, probe.predictions[:, :1]]),
        trained=np.append(probe.trained, 0),
        targets=more,
    )
    longer.save(tmp_path / result["rows"][2]["matrix"])
    result["rows"][2] |= longer.summary()  # as of a run with another --limit
    runner.conclude(experiments.EXPERIMENTS["table2"], result, tmp_path)
    assert result["pooled"] == []
    report = order_report.as_markdown(result)
    assert "left apart (seed 0: n = " in report and f"seed 2: n = {len(more)}" in report


def test_a_copied_row_is_pooled_with_the_others(run):
    first = run({"single": {}}, seeds=(0, 1))
    second = run({"again": {}}, table=3, seeds=(0, 1))
    assert second["pooled"][0]["mean_difference"] == first["pooled"][0]["mean_difference"]


def test_prompts_are_trained_until_validation_stops_improving(tiny_folder, run, tmp_path):
    recipe = order_tables.recipe_for(str(tiny_folder("llama")), "small", 20)
    assert recipe.patience and recipe.evaluate_every and recipe.schedule == "constant"
    quick = replace(RECIPE, steps=40, evaluate_every=1, patience=2, lr=1e-9)
    run({"still": {}}, recipe=quick)
    (kept,) = (tmp_path / "prompts").iterdir()
    scores = load_prompt(kept)[1].scores
    assert scores["trained_steps"] == scores["best_step"] + 2 < 40


@pytest.mark.parametrize(
    ("right", "n", "learns"), [(150, 300, False), (165, 300, False), (200, 300, True)]
)
def test_the_gate_is_the_interval_over_the_majority(monkeypatch, right, n, learns):
    monkeypatch.undo()
    ones, zeros = np.ones(n, dtype=int), np.zeros(n, dtype=int)
    targets = np.where(np.arange(n) < n // 2, ones, zeros)
    predictions = np.where(np.arange(n) < right, targets, 1 - targets)
    from labkit.core import statistics
    from labkit.core.prompted_model import Evaluation

    interval = statistics.accuracy_interval(predictions == targets)
    found = Evaluation(
        "accuracy", right / n, interval, 0.5, n, 0, predictions, targets, targets[:, None], 0.0
    )
    assert order.learns(found) is learns


def test_the_noise_floor_compares_precisions(run, monkeypatch):
    import torch

    monkeypatch.setattr(order, "has_bf16", lambda device: True)
    monkeypatch.setattr(
        order,
        "shared_backbone",
        lambda name, dtype=None: load_backbone(name, dtype=dtype or torch.bfloat16),
    )
    (row,) = run({"single": {}})["rows"]
    assert row["dtype"] == "bfloat16"
    assert 0 <= row["noise_floor"]["flip_rate"] <= 1
    assert row["noise_floor"]["difference"][0] == pytest.approx(
        row["noise_floor"]["value"] - row["value"]
    )


# ---- the tables' own settings ----


@pytest.mark.parametrize("profile", ["small", "full"])
@pytest.mark.parametrize("name", TABLES)
def test_settings_name_rows_that_the_paper_prints(name, profile, monkeypatch, no_network):
    if profile == "small":
        monkeypatch.setattr(
            order_tables, "recipe_for", lambda name, profile, length: replace(RECIPE, length=length)
        )
    settings = experiments.EXPERIMENTS[name].settings(None, profile)
    assert len({setting.name for setting in settings}) == len(settings)
    quoted = {setting.paper for setting in settings if setting.paper}
    own = [str(next(iter(row.values()))) for row in printed(int(name[-1]))["rows"]]
    if profile == "full" or name in ("table2", "table3", "table5"):
        assert {f"{name[-1]}:{row}" for row in own} <= quoted
    assert not no_network


def test_the_full_profile_is_the_papers_protocol():
    settings = {name: experiments.EXPERIMENTS[name].settings(None, "full") for name in TABLES}
    assert {s.permutations for s in settings["table1"]} == {500}
    assert (
        {s.permutations for s in settings["table2"]}
        == {200}
        == {s.permutations for s in settings["table3"]}
    )
    assert [s.shuffle.unit for s in settings["table2"]] == [1, 5, 10, 20]
    assert {s.shuffle.fixed for s in settings["table3"]} == set(order_tables.FIXED)
    assert {s.recipe.length for s in settings["table5"]} == {5, 10, 20, 50, 100}
    assert [s.task for s in settings["table4"]] == ["stsb", "rte", "mrpc"]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_table_1_has_the_lines_that_a_model_can_have(family, tiny_folder, tiny_backbone, tiny_task):
    """None that stops the table, none missing that could be laid out."""
    model, prompt = PromptedModel.for_task(tiny_backbone(family), tiny_task), torch.zeros(2, 32)
    lines = order_tables._models(str(tiny_folder(family)), "small")
    for line in lines:
        model.with_changes(bos=line.bos).encode(tiny_task.take("test", 1), prompt)
    assert [line.bos for line in lines] == ["text"] * 3 + ["first"] * (family != "t5")
    if family == "t5":
        with pytest.raises(LabError, match="no BOS token"):
            model.with_changes(bos="first").encode(tiny_task.take("test", 1), prompt)


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_table_1_runs_to_its_end_and_says_which_line_is_missing(
    family, tiny_folder, monkeypatch, tmp_path
):
    def shorter(label, name, profile, length, **more):
        return OrderSetting(label, name, RECIPE, **more | {"permutations": 2})

    monkeypatch.setattr(order_tables, "_setting", shorter)
    folder = tiny_folder(family)
    result = experiments.run("table1", backbone=str(folder), seeds=(0,), out=tmp_path)
    assert [row["bos"] for row in result["rows"]] == ["text"] * 3 + ["first"] * (family != "t5")
    report = next(tmp_path.glob("table1-*.md")).read_text(encoding="utf-8")
    remark = f"- {folder.name} has no line with a BOS in front: its tokenizer has none"
    assert (remark in report.splitlines()) == (family == "t5")


def test_an_estimate_comes_without_loading_a_model(no_network):
    line = experiments.estimate("table1", seeds=(0,))
    assert "PFLOP" in line and "hours" in line and not no_network


def test_a_task_that_is_asked_for_replaces_those_compared():
    settings = [
        OrderSetting(f"tiny: {task}", "model", RECIPE, task=task, paper=f"4:{task}")
        for task in ("stsb", "rte")
    ]
    (only,) = runner.for_task(settings, "cr")
    assert (only.name, only.task, only.paper) == ("tiny: cr", "cr", None)
    assert runner.for_task(settings, "rte") == settings[1:]
    assert runner.for_task(settings, None) == settings


@pytest.mark.parametrize("before", ["", "rte-tuner: ", "sorter: "])
def test_another_task_takes_the_place_of_the_first_and_of_no_part_of_a_word(before):
    setting = OrderSetting(f"{before}rte, sorter by rte", "model", RECIPE, task="rte")
    (only,) = runner.for_task([setting], "rt-polarity")
    assert only.name == f"{before}rt-polarity, sorter by rte"


def test_the_report_shows_the_papers_rows_beside_ours(run, tmp_path):
    run(BLOCKS)
    text = next(tmp_path.glob("table2-*.md")).read_text(encoding="utf-8")
    for row in printed(2)["rows"]:
        assert f"| {row['unit']} | – | – | {row['worst']} | {row['best']} |" in text
    assert text.count("a random order scores below the trained one") == 2


def test_the_model_of_a_row_is_a_prompted_model(tiny_backbone, tiny_task):
    model = PromptedModel.for_task(tiny_backbone("llama"), tiny_task)
    changed = model.with_changes(bos="first", positions=False)
    assert (changed.bos, changed.positions) == ("first", False)
    assert changed.template.text == model.template.text
    assert json.dumps(changed.verbalizer.words) == json.dumps(model.verbalizer.words)
