"""The table of transfer: rows kept, overlaps gone, starts from what is kept."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from labkit import cli, experiments
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.tasks import normalise
from labkit.core.tuning import fit
from labkit.experiments import transfer, transfer_starts
from labkit.experiments.base import result_file, runner
from labkit.experiments.base.setting import Place
from labkit.experiments.gather import gather
from labkit.soft_prompt import CARD, WEIGHTS, SoftPrompt, load_prompt, save_prompt

TASKS = ("cr", "mpqa", "rte", "mrpc")
SOURCES = 4


@pytest.fixture(autouse=True)
def quick(monkeypatch, tiny_task_named):
    """Four tasks that are one tiny task with other sentences; two steps of training."""

    def load(name):
        # each its own word of the tiny vocabulary: their tokens have to differ too
        words = {"cr": "great", "mpqa": "good", "rte": "bad", "mrpc": "slow"}[name]
        return replace(tiny_task_named(words), name=name)

    for readout, recipe in experiments.RECIPES.items():
        small = replace(recipe, steps=2, batch_size=4, length=3)
        monkeypatch.setitem(transfer.RECIPES, readout, small)
        monkeypatch.setitem(transfer.STEPS, readout, 2)
    for readout in ("encoder", "causal"):
        monkeypatch.setitem(transfer.TASKS, readout, TASKS)
        monkeypatch.setitem(transfer_starts.START_TARGETS, readout, ("cr",))
    for name in ("EMBEDDING_STEPS", "EVALUATE_EVERY"):
        monkeypatch.setattr(transfer_starts, name, 1)
    for module in (transfer, transfer_starts):
        monkeypatch.setattr(module, "here", lambda name: True)
    for module in (runner, transfer, transfer_starts):
        monkeypatch.setattr(module, "load_task", lambda name: load("cr" if "-" in name else name))
    return load


def run(name, folder, out, **options):
    return experiments.run(name, backbone=str(folder), out=out, **options)


def plain(result):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in result["rows"]]


def test_every_source_is_scored_on_every_target(tiny_folder, tiny_backbone, tmp_path, quick):
    folder = tiny_folder("bert-encoder")
    result = run("transfer", folder, tmp_path, seeds=(0,))
    assert [row["setting"] for row in result["rows"]] == ["untrained prompt", "no prompt", *TASKS]
    (file,) = tmp_path.glob("transfer-*-tasks.json")
    kept = file.with_suffix("")
    row = result["rows"][2]
    prompt, _ = load_prompt(kept / "cr-seed0")
    backbone = tiny_backbone("bert-encoder")
    for name in TASKS:
        task = quick(name)
        again = evaluate(PromptedModel.for_task(backbone, task), prompt, task)
        assert row["targets"][name]["value"] == again.value
    assert (file.with_suffix(".md")).read_text().count("\n| ") == 3 + len(TASKS) + 2


@pytest.mark.parametrize("rows", [1, 3])
def test_a_stopped_table_goes_on_row_by_row(tiny_folder, tmp_path, rows):
    folder = tiny_folder("bert-encoder")
    whole = run("transfer", folder, tmp_path / "whole", seeds=(0,))

    def stop(done, total, what):
        if done >= rows:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("transfer", folder, tmp_path / "cut", seeds=(0,), on_progress=stop)
    (file,) = (tmp_path / "cut").glob("*.json")
    assert len(json.loads(file.read_text())["rows"]) == rows
    again = run("transfer", folder, tmp_path / "cut", seeds=(0,), resume=True)
    assert plain(again) == plain(whole)
    table = transfer.table(again)
    assert table.values.shape == (1, SOURCES, SOURCES)
    assert table.values[0, 1, 2] == again["rows"][3]["targets"]["rte"]["value"]


def test_no_source_trains_on_what_a_target_is_scored_on(quick, tiny_task):
    task, other = quick("cr"), quick("mpqa")
    stolen = other.split("test")[0]
    longer = replace(stolen, id="longer", fields={"text": f"Indeed: {stolen.text}, she said"})
    pieces = replace(stolen, id="piece", fields={"text": " ".join(stolen.text.split()[1:])})
    train = (stolen, longer, pieces, *task.split("train"))
    leaking = replace(task, splits={**task.splits, "train": train})
    kept, passed = transfer.training_examples(leaking, [task, other], 500, seed=0)
    scored = [f" {normalise(e.text)} " for t in (task, other) for e in t.split("test")]
    for example in kept:
        text = f" {normalise(example.text)} "
        assert not any(text in theirs or theirs in text for theirs in scored)
    assert {e.id for e in kept}.isdisjoint({stolen.id, "longer", "piece"})
    assert len(kept) + passed <= len(train)


def test_an_id_that_stands_twice_lets_no_scored_text_in(quick):
    task = quick("cr")
    stolen = replace(task.split("test")[0], id="0")
    fine = replace(task.split("train")[0], id="0")
    joined = task.with_splits(train=(stolen, fine, *task.split("train")[1:]))
    kept, _ = transfer.training_examples(joined, [task], 500, seed=0)
    assert fine in kept and stolen.text not in {example.text for example in kept}


def test_tasks_of_one_kind_have_a_report_too(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(transfer.TASKS, "encoder", ("cr", "mpqa"))  # both of sentiment
    result = run("transfer", tiny_folder("bert-encoder"), tmp_path, seeds=(0,))
    assert len(result["rows"]) == 2 + 2
    text = next(tmp_path.glob("*.md")).read_text(encoding="utf-8")
    assert "| cr |" in text and "Same kind" not in text


def test_no_row_is_lost_to_a_report_that_fails(tmp_path):
    result = {"command": "labkit run it", "rows": [{"setting": "one", "seed": 0, "value": 0.5}]}

    def fails(_):
        raise LabError("too few rows to say anything")

    with pytest.raises(LabError, match="too few"):
        result_file.write(tmp_path / "it.json", result, fails)
    assert result_file.read(tmp_path / "it.json") == result


def test_a_prompt_that_says_not_what_made_it_is_made_anew(tiny_folder, tmp_path):
    folder = tiny_folder("bert-encoder")
    run("transfer", folder, tmp_path, seeds=(0,))
    (card,) = tmp_path.glob(f"*/cr-seed0/{CARD}")
    weights = card.with_name(WEIGHTS)
    trained = weights.read_bytes()
    said = json.loads(card.read_text())
    del said["scores"]["digest"]
    card.write_text(json.dumps(said))
    weights.write_bytes((card.parent.parent / "mpqa-seed0" / weights.name).read_bytes())
    for file in tmp_path.glob("*.json"):
        file.unlink()
    run("transfer", folder, tmp_path, seeds=(0,))
    assert weights.read_bytes() == trained and "digest" in json.loads(card.read_text())["scores"]


def test_prompts_come_along_when_seeds_are_gathered(tiny_folder, tmp_path):
    folder = tiny_folder("bert-encoder")
    for seed in (0, 1):
        run("transfer", folder, tmp_path / str(seed), seeds=(seed,))
    gather([tmp_path / "0", tmp_path / "1"], tmp_path / "all")
    place = Place(tmp_path / "all", tmp_path / "all/starts", "labkit run it")
    for seed in (0, 1):
        kept = transfer.kept_prompts(str(folder), seed, place)
        assert tuple(kept) == tuple(sorted(TASKS))


def test_a_mixture_is_kept_from_all_that_is_scored(quick, tiny_backbone, tmp_path, monkeypatch):
    asked = []

    def spy(source, targets, limit, seed):
        asked.append(limit)
        return source.split("train"), 0

    monkeypatch.setattr(transfer_starts, "training_examples", spy)
    model = PromptedModel.for_task(tiny_backbone("bert-encoder"), quick("cr"))
    (setting,) = (
        s
        for s in transfer_starts.EXPERIMENTS[0].settings("minilm", "small")
        if s.start == "mixture of 3"
    )
    for limit in (None, 2000):
        place = Place(tmp_path, tmp_path / "table", "labkit run it", limit=limit)
        transfer_starts._mixture(setting, model, quick("cr"), ["mpqa"], 0, place)
    assert asked == [transfer_starts.TEST_EXAMPLES, 2000]


def test_starts_come_from_the_kept_prompts(tiny_folder, tmp_path):
    folder = tiny_folder("bert-encoder")
    with pytest.raises(LabError, match="labkit run transfer"):
        run("transfer-starts", folder, tmp_path, seeds=(0,))
    for file in tmp_path.glob("transfer-starts*"):
        if file.is_file():
            file.unlink()
    run("transfer", folder, tmp_path, seeds=(0,))
    result = run("transfer-starts", folder, tmp_path, seeds=(0,), resume=True)
    by_start = {row["start"]: row for row in result["rows"]}
    assert tuple(by_start) == transfer_starts.STARTS
    assert by_start["vocabulary"]["sources"] == [] and len(by_start["average of 3"]["sources"]) == 3
    for start, row in by_start.items():
        assert "cr" not in row["sources"]
        steps = [step for step, _ in row["curve"]]
        assert steps == list(range(5 if start == "vocabulary, longer" else 3))
    told = transfer_starts.reached(result)
    once = {"most alike", "random source", "average of 3", "best zero-shot", "mixture of 3"}
    assert {t["start"] for t in told} == once
    final = by_start["vocabulary"]["curve"][-1][1]
    for each in told:
        good = [s for s, v in by_start[each["start"]]["curve"] if v >= final]
        assert each["steps"] == (good[0] if good else None)


def test_the_oracle_keeps_the_source_that_trains_best(
    tiny_folder, tiny_backbone, tmp_path, quick, monkeypatch
):
    folder, task = tiny_folder("bert-encoder"), quick("cr")
    backbone = tiny_backbone("bert-encoder")
    model = PromptedModel.for_task(backbone, task)
    options = transfer.RECIPES["encoder"].training_fields()
    options |= {"evaluate_every": 1, "validation_limit": 200}
    found = {}
    for seed, source in enumerate(TASKS[1:]):
        prompt = SoftPrompt(torch.randn(3, backbone.hidden_size, generator=torch.manual_seed(seed)))
        save_prompt(tmp_path / f"transfer-{folder.name}-tasks" / f"{source}-seed0", prompt, model)
        history = fit(model, prompt, task, **options, seed=0)
        found[source] = max(value for _, value in history.validation)
    monkeypatch.setattr(transfer_starts, "STARTS", ("best of 3", "oracle", "most alike"))
    result = run("transfer-starts", folder, tmp_path, seeds=(0,))
    rows = {row["start"]: row for row in result["rows"]}
    assert len(set(found.values())) > 1
    assert rows["oracle"]["validation"] == max(found.values())
    assert found[rows["oracle"]["sources"][0]] == max(found.values())
    assert rows["oracle"]["trainings"] == rows["best of 3"]["trainings"] == len(found)
    assert rows["most alike"]["trainings"] == 1
    # what two starts have in common was trained once
    assert len(list(tmp_path.glob("transfer-starts-*/*.json"))) == len(found)


def start_rows(task: str, values: dict[str, float], curves: dict[str, list[float]]) -> list[dict]:
    return [
        {"task": task, "seed": 0, "start": start, "value": value,
         "best_step": 25 * int(np.argmax(curves[start])),
         "curve": [[25 * i, v] for i, v in enumerate(curves[start])]}
        for start, value in values.items()
    ]  # fmt: skip


def test_starts_are_held_against_the_plain_prompt():
    curves = {
        "vocabulary": [0.5, 0.6, 0.8],
        "most alike": [0.5, 0.8, 0.7],
        "random source": [0.5, 0.6, 0.9],
        "mixture of 3": [0.7, 0.7, 0.7],
    }
    scores = {"vocabulary": 0.7, "most alike": 0.8, "random source": 0.7, "mixture of 3": 0.6}
    rows = start_rows("cr", scores, curves)
    rows += start_rows("subj", {"vocabulary": 0.5, "most alike": 0.7}, curves)
    curves["average of 3"] = [0.1, 0.1, 0.1, 0.8]
    rows += start_rows("mpqa", {"vocabulary": 0.5, "average of 3": 0.5}, curves)
    told = {
        t["start"]: (t["outcome"], t["convergence"])
        for t in transfer_starts.reached({"rows": rows})
    }
    assert told == {
        "most alike": ("sooner", 0.5),  # its own best after 25 steps, the plain prompt's after 50
        "random source": ("as soon", 1),
        "mixture of 3": ("never", 0),
        "average of 3": ("later", 1.5),
    }
    counts = transfer_starts.count_outcomes(transfer_starts.reached({"rows": rows}))
    assert counts["most alike"] == {"sooner": 2, "as soon": 0, "later": 0, "never": 0}
    assert counts["mixture of 3"]["never"] == 1
    both = [row for row in rows if row["start"] in ("vocabulary", "most alike")]
    (gain,) = transfer_starts.gains_over_plain({"rows": both}).values()
    assert (gain.value, gain.targets) == (pytest.approx(0.15), 2)  # of 0.1 and 0.2


def test_labkit_transfer_matrix(tiny_folder, tmp_path, capsys):
    options = ["--backbone", str(tiny_folder("bert-encoder")), "--seeds", "0"]
    with pytest.raises(SystemExit) as left:
        cli.main(["transfer", "matrix", *options, "--out", str(tmp_path), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert left.value.code == 0
    assert told["sources"] == told["targets"] == list(TASKS)
    assert np.shape(told["values"]) == (1, SOURCES, SOURCES)
    assert set(told["controls"]) == {"untrained prompt", "no prompt"}
    with pytest.raises(SystemExit) as left:
        cli.main(["transfer", "matrix", *options, "--out", str(tmp_path)])
    assert left.value.code == 2 and "--resume" in capsys.readouterr().err
