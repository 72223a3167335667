"""Result files hold what they say: what is resumed still fits, and nobody loses a row."""

from __future__ import annotations

import json
import shutil
import threading
import time
from dataclasses import replace

import pytest

import jobs
from labkit import experiments
from labkit.core.engines import Job, LocalEngine
from labkit.core.errors import LabError
from labkit.core.templates import Template
from labkit.experiments import order
from labkit.experiments.base import models, runner
from labkit.experiments.base.recipe import Recipe
from labkit.experiments.base.result_file import file_name, only_writer
from labkit.experiments.base.setting import Experiment
from labkit.experiments.base.verdicts import Claim
from labkit.experiments.order import OrderSetting
from labkit.experiments.training import TrainingSetting, training_row
from labkit.shuffle_probe import Probe
from labkit.soft_prompt import load_prompt

RECIPE = Recipe(length=3, steps=2, batch_size=4)
LINES = {"short": RECIPE, "long": replace(RECIPE, steps=3)}


@pytest.fixture(autouse=True)
def task(monkeypatch, tiny_task):
    """The task that every row reads; a test may put another one in its place."""
    current = {"task": tiny_task}
    monkeypatch.setattr(runner, "load_task", lambda name: current["task"])
    models.shared_backbone.cache_clear()
    yield current
    models.shared_backbone.cache_clear()


@pytest.fixture
def run(tiny_folder, tmp_path):
    """Runs a table of two rows; collects what the user is told and what was made."""
    notes: list[str] = []
    made: list[tuple] = []

    def row(setting, task, seed, place):
        made.append((setting.name, seed))
        return training_row(setting, task, seed, place)

    def start(folder=None, lines=LINES, **options):
        notes.clear()
        made.clear()
        name = str(folder or tiny_folder("llama"))
        settings = [TrainingSetting(label, name, recipe) for label, recipe in lines.items()]
        experiment = Experiment("lengths", "", lambda backbone, profile: settings, row)
        asked = {"profile": "small", "backbone": None, "task": None, "seeds": (0,), "limit": None}
        asked |= {"resume": False, "on_progress": None, "out": tmp_path}
        asked |= {"engine": LocalEngine(workers=1), "note": notes.append}
        return runner.run_grid(experiment, **(asked | options))

    start.notes, start.made = notes, made
    return start


def scores(result):
    return {(row["setting"], row["seed"]): row["correct"] for row in result["rows"]}


def test_rows_that_fit_are_kept_and_the_others_made_again(run):
    first = run(seeds=(0, 1))
    again = run(lines={**LINES, "long": replace(RECIPE, steps=4)}, resume=True)
    assert run.made == [("long", 0), ("long", 1)]  # the other seed's row had become stale too
    assert [note.split(":")[0] for note in run.notes] == ["long, seed 0", "long, seed 1"]
    assert {row["steps"] for row in again["rows"] if row["setting"] == "long"} == {4}
    assert [row for row in again["rows"] if row["setting"] == "short"] == [
        row for row in first["rows"] if row["setting"] == "short"
    ]
    assert "stale" not in again


@pytest.mark.parametrize(
    ("change", "told"), [({"profile": "full"}, "small → full"), ({"limit": 8}, "None → 8")]
)
def test_a_table_resumed_as_another_keeps_none_of_its_rows(run, change, told):
    run(seeds=(0, 1))
    again = run(seeds=(0,), resume=True, **change)
    assert sorted(run.made) == [("long", 0), ("long", 1), ("short", 0), ("short", 1)]
    assert all(told in note for note in run.notes) and len(run.notes) == 4
    assert {row["n"] for row in again["rows"]} == {change.get("limit", again["rows"][0]["n"])}
    option = f"--profile {change['profile']}" if "profile" in change else "--limit 8"
    assert option in again["command"] and again["command"].endswith("--seeds 0,1")


def test_a_stopped_recomputation_loses_nothing(run, tmp_path):
    run(seeds=(0, 1))

    def stop(done, total, what):
        if what.startswith("long, seed 0"):  # the second row begins: the first one is kept
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(seeds=(0,), limit=8, resume=True, on_progress=stop)
    (file,) = tmp_path.glob("*.json")
    half = json.loads(file.read_text())
    assert len(half["rows"]) == 1 and len(half["stale"]) == 3
    whole = run(seeds=(0,), limit=8, resume=True)
    assert len(whole["rows"]) == 4 and {row["n"] for row in whole["rows"]} == {8}


def test_rows_that_wait_are_taken_back_where_they_fit_again(run):
    first = run(seeds=(0, 1))

    def stop(done, total, what):
        if what.startswith("long, seed 0"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(seeds=(0, 1), limit=8, resume=True, on_progress=stop)
    again = run(seeds=(0, 1), resume=True)
    assert run.made == [("short", 0)]  # the row that was made of 8 examples took its place
    assert "stale" not in again and scores(again) == scores(first)
    assert list(scores(again)) == list(scores(first))
    assert "long, seed 0: taken back, it fits again" in run.notes


def test_other_weights_in_the_same_folder_are_another_model(run, tiny_folder, tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "here" / "checkpoint-500"
    shutil.copytree(tiny_folder("llama"), folder)
    run(folder)
    run(folder, resume=True)
    assert not run.made
    weights = load_file(folder / "model.safetensors")
    changed = {name: tensor + 0.1 * torch.randn_like(tensor) for name, tensor in weights.items()}
    save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})
    run(folder, resume=True)
    assert len(run.made) == 2 and all("fingerprint" in note for note in run.notes)


def test_other_data_are_another_row(run, task):
    run()
    first, *others = task["task"].split("test")
    turned = replace(first, label=1 - first.label)
    task["task"] = task["task"].with_splits(test=[turned, *others])
    run(resume=True)
    assert len(run.made) == 2 and all("data" in note for note in run.notes)


def test_a_task_that_asks_otherwise_is_another_row(run, task):
    run()
    asked = task["task"].prompts
    text = Template(asked["causal"].template).text + " so"
    changed = {**asked, "mlm": replace(asked["mlm"], template=text)}
    task["task"] = replace(task["task"], prompts=changed)
    run(resume=True)
    assert len(run.made) == 2


def test_two_models_of_one_last_name_share_nothing(run, tiny_folder, tmp_path):
    folders = [tmp_path / place / "m" for place in ("a", "b")]
    for folder, family in zip(folders, ("llama", "bert"), strict=True):
        shutil.copytree(tiny_folder(family), folder)
    out = tmp_path / "out"
    results = [run(folder, out=out) for folder in folders]
    assert len({result["file"] for result in results}) == 2
    for folder, result in zip(folders, results, strict=True):
        kept = json.loads((out / f"{result['file']}.json").read_text())
        assert scores(kept) == scores(result)
        prompt, card = load_prompt(out / result["file"] / "short-seed0")
        assert card.template == result["rows"][0]["template"] and len(prompt) == 3
        assert scores(run(folder, out=out, resume=True)) == scores(result) and not run.made
        assert str(tmp_path) not in kept["command"]


def test_rows_of_before_there_were_digests_are_brought_over(run, tmp_path):
    first = run(seeds=(0, 1))
    (file,) = tmp_path.glob("*.json")

    def rewrite(**changes):
        old = json.loads(file.read_text())
        old.pop("about", None)
        for row in old["rows"]:
            for name in ("digest", "made", "validation_limit", "patience"):
                row.pop(name, None)
        file.write_text(json.dumps(old | changes))

    rewrite()
    again = run(seeds=(0, 1), resume=True)
    assert not run.made and "4 rows" in run.notes[0]
    assert scores(again) == scores(first) and all("digest" in row for row in again["rows"])
    rewrite(command=first["command"].replace("small", "full"))
    run(seeds=(0, 1), resume=True)
    assert len(run.made) == 4
    rewrite()
    run(lines={**LINES, "short": replace(RECIPE, lr=1e-4)}, resume=True)
    assert run.made == [("short", 0), ("short", 1)]


def test_foreign_files_are_left_alone(run, tmp_path):
    foreign = {
        "a.json": "[1, 2]",
        "b.json": '{"rows": 3}',
        "c.json": "{",
        "d.json": '{"rows": [1]}',
    }
    for name, text in foreign.items():
        (tmp_path / name).write_text(text)
    result = run()
    assert {name: (tmp_path / name).read_text() for name in foreign} == foreign
    file = tmp_path / f"{result['file']}.json"
    for text in ("[]", '{"mine": true}'):
        file.write_text(text)
        with pytest.raises(LabError, match="no result of labkit"):
            run(resume=True)
        assert file.read_text() == text
    file.unlink()
    file.with_suffix(".md").write_text("my own notes")
    with pytest.raises(LabError, match="no report of labkit"):
        run()
    assert file.with_suffix(".md").read_text() == "my own notes"


def test_a_second_writer_is_told_of_the_first_and_rows_of_both_survive(run, tmp_path):
    result = run(seeds=(0,))
    file = tmp_path / f"{result['file']}.json"
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with only_writer(file, "labkit run other", wait=True, tell=print):
            entered.set()
            leave.wait(60)
            held = json.loads(file.read_text())
            held["rows"].append({**held["rows"][0], "seed": 7})
            held["rows"][-1]["digest"] = digest_of_seed_7
            file.write_text(json.dumps(held))

    other = run(seeds=(7,), out=tmp_path / "elsewhere")
    digest_of_seed_7 = next(r["digest"] for r in other["rows"] if r["setting"] == "short")
    first = threading.Thread(target=hold)
    first.start()
    assert entered.wait(60)
    with pytest.raises(LabError, match="labkit run other"):
        run(seeds=(1,))
    waiting: list[str] = []

    def release(line: str) -> None:
        waiting.append(line)
        leave.set()

    both = run(seeds=(1,), resume=True, note=release)
    first.join()
    assert "labkit run other" in waiting[0]
    assert {row["seed"] for row in both["rows"]} == {0, 1, 7}


def test_what_two_processes_need_is_made_once(tmp_path):
    work = [Job(name, jobs.keep, (str(tmp_path),)) for name in ("a", "b")]
    results = dict(LocalEngine(workers=2, threads=1).results(work))
    assert len((tmp_path / "log").read_text().splitlines()) == 1
    assert len({tuple(result.items()) for result in results.values()}) == 1


def test_only_the_rows_that_are_asked_for_are_run(run):
    assert [row["setting"] for row in run(only=["lo*"])["rows"]] == ["long"]
    assert {row["setting"] for row in run(resume=True)["rows"]} == {"long", "short"}
    assert run.made == [("short", 0)]
    with pytest.raises(LabError, match="'short', 'long'"):
        run(only=["middle"], resume=True)


def settings_of_all(tiny_folder):
    for name, experiment in experiments.EXPERIMENTS.items():
        family = (
            "t5" if name in ("lester-objective", "lester-adaptation", "lester-scale") else "llama"
        )
        yield name, experiment.settings(str(tiny_folder(family)), "small")


def test_no_two_rows_of_a_table_differ_in_their_name_alone(run, tiny_folder):
    """A resumed table would take one for the other."""
    for name, settings in settings_of_all(tiny_folder):
        unnamed = [repr(replace(setting, name="", paper=None)) for setting in settings]
        assert len(set(unnamed)) == len(unnamed), name
        assert len({file_name(setting.name) for setting in settings}) == len(settings), name
    with pytest.raises(LabError, match="'short' and 'brief' of 'lengths' differ in their name"):
        run(lines={**LINES, "brief": RECIPE})


def test_a_prompt_that_did_not_learn_stands_for_its_seed_alone(tiny_folder, tmp_path):
    """The next seed may learn: none is left out that was asked for."""

    def row(setting, task, seed, place):
        return {"value": 0.5, "n": 2, "metric": "accuracy", "learns": seed == 1}

    settings = [TrainingSetting("tiny", str(tiny_folder("llama")), RECIPE)]
    table = Experiment("stuck", "", lambda *_: settings, row)
    asked = {"profile": "small", "backbone": None, "task": None, "limit": None, "out": tmp_path}
    asked |= {"on_progress": None, "engine": LocalEngine(workers=1)}
    for given in ((0,), (0, 1, 2)):
        result = runner.run_grid(table, seeds=given, resume=True, **asked)
    assert [(made["seed"], made["learns"]) for made in result["rows"]] == [
        (0, False),
        (1, True),
        (2, False),
    ]


RIGHT_OF_100 = {"0 steps": 50, "50 steps": 70, "100 steps": 90}


@pytest.fixture
def ends(tiny_folder, tmp_path):
    """Runs a table whose claims are about its first and last settings."""

    def row(setting, task, seed, place):
        right = RIGHT_OF_100[setting.name]
        digits = "1" * right + "0" * (100 - right)
        return {"value": right / 100, "n": 100, "metric": "accuracy", "correct": digits}

    folder = str(tiny_folder("llama"))
    lines = {name: replace(RECIPE, steps=index + 1) for index, name in enumerate(RIGHT_OF_100)}
    settings = [TrainingSetting(name, folder, recipe) for name, recipe in lines.items()]
    claims = (Claim("longest", "LAST", "FIRST"), Claim("longer", "LAST", "PREVIOUS"))
    table = Experiment("ends", "", lambda *_: settings, row, claims)

    def run(**options):
        asked = {"profile": "small", "backbone": None, "task": None, "limit": None}
        asked |= {"on_progress": None, "engine": LocalEngine(workers=1), "resume": True}
        return runner.run_grid(table, out=tmp_path, **(asked | {"seeds": (0,)} | options))

    return run


def verdicts(result):
    return {each["claim"]: each["difference"] for each in result["verdict"]}


@pytest.mark.parametrize("again", [["0 steps"], ["100 steps"], ["50 steps"], []])
def test_what_is_made_last_changes_no_verdict_and_no_order(ends, again):
    whole = ends()
    assert verdicts(whole) == {"longest": pytest.approx(0.4), "longer": pytest.approx(0.2)}
    more = ends(seeds=(0, 1), only=again)
    assert verdicts(more) == verdicts(whole)
    at_first = [row["setting"] for row in more["rows"] if row["seed"] == 0]
    assert at_first == list(RIGHT_OF_100)


def test_no_verdict_where_an_end_is_missing(ends):
    assert verdicts(ends(only=["0 steps", "50 steps"])) == {}
    assert verdicts(ends(only=["100 steps"])) == {
        "longest": pytest.approx(0.4),
        "longer": pytest.approx(0.2),
    }


def test_a_model_is_called_by_the_last_part_of_its_path():
    for name in (
        "org/bert",
        "/models/bert",
        "models/bert/",
        r"C:\models\bert",
        "C:\\models\\bert\\",
    ):
        assert models.short(name) == "bert"


NAMESAKES = ("table1", "table2", "table6", "swaps", "order-effect", "lester-scale")


@pytest.mark.parametrize("table", NAMESAKES)
def test_two_models_of_one_last_name_are_no_two_rows_of_a_table(tiny_folder, tmp_path, table):
    """They would be taken for two seeds of one model."""
    folders = [tmp_path / place / "checkpoint-500" for place in ("a", "b")]
    for folder, family in zip(folders, ("t5", "bert"), strict=True):
        shutil.copytree(tiny_folder(family), folder)
    both = ",".join(map(str, folders))
    with pytest.raises(LabError, match=f"{folders[0]} and {folders[1]}: .*rename one of"):
        experiments.run(table, backbone=both, seeds=(0,), out=tmp_path / "out")
    assert not list(tmp_path.glob("out/*"))


def two_folders(tiny_folder, tmp_path, *names):
    folders = [tmp_path / "models" / name for name in names]
    for folder, family in zip(folders, ("t5", "bert"), strict=True):
        shutil.copytree(tiny_folder(family), folder)
    return folders


@pytest.mark.parametrize("twin", ["my-model", "My-model"])
def test_two_models_whose_files_would_have_one_name_are_refused(twin, tiny_folder, tmp_path):
    """One would write over the other's matrix; where a disk ignores case, of either spelling."""
    folders = two_folders(tiny_folder, tmp_path, "my_model", twin)
    says = f"'my_model' and '{twin}' of 'swaps' .* files as '{twin}'; rename the folder of "
    with pytest.raises(LabError, match=f"{says}{folders[0]} or {folders[1]}"):
        both = ",".join(map(str, folders))
        experiments.run("swaps", backbone=both, seeds=(0,), out=tmp_path / "out")
    assert not list(tmp_path.glob("out/*"))


def test_models_that_differ_in_letters_of_another_script_keep_files_of_their_own(
    tiny_folder, tmp_path, monkeypatch
):
    folders = two_folders(tiny_folder, tmp_path, "模型一", "模型二")
    settings = [
        OrderSetting(folder.name, str(folder), Recipe(length=4, steps=1, batch_size=4))
        for folder in folders
    ]
    monkeypatch.setattr(order, "learns", lambda gate: True)
    table = replace(experiments.EXPERIMENTS["swaps"], settings=lambda *_: settings)
    asked = {"profile": "small", "backbone": None, "task": None, "limit": None, "resume": False}
    asked |= {"on_progress": None, "engine": LocalEngine(workers=1), "out": tmp_path / "out"}
    rows = runner.run_grid(table, seeds=(0,), **asked)["rows"]
    assert len({row["matrix"] for row in rows}) == 2
    for row in rows:
        probe = Probe.load(tmp_path / "out" / row["matrix"])
        assert row["scores"] == pytest.approx(probe.scores.tolist(), abs=1e-6)


def test_the_files_of_stored_rows_are_called_as_they_were():
    """Letters, digits and dots of ASCII stay, and whatever stands between them is one dash."""
    rows = [
        row
        for file in experiments.REFERENCE.glob("*.json")
        for row in json.loads(file.read_text(encoding="utf-8"))["rows"]
    ]
    names = {row["setting"] for row in rows} | {"a_b", "a__-b", "Bert-base, BOS in front", "is → 1"}
    for name in names:
        kept = "".join(c if c.isascii() and (c.isalnum() or c == ".") else " " for c in name)
        words = kept.split()
        assert file_name(name).strip("-") == "-".join(words)


def test_a_model_that_is_named_twice_is_refused(tiny_folder, tmp_path):
    folder = tiny_folder("llama")
    with pytest.raises(LabError, match="name each model once"):
        experiments.run("swaps", backbone=f"{folder},{folder}", seeds=(0,), out=tmp_path)


def test_settings_come_without_loading_a_model(tiny_folder, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("transformers.PreTrainedModel.from_pretrained", refuse)
    for name, settings in settings_of_all(tiny_folder):
        assert settings or name in ("cross-model",)
    assert "PFLOP" in experiments.estimate("table2", backbone=str(tiny_folder("llama")))


def test_the_time_of_a_row_is_not_what_made_it(run, tmp_path):
    """A digest says what was made, not when or where."""
    first = run(out=tmp_path / "a")
    time.sleep(0.01)
    assert [row["digest"] for row in run(out=tmp_path / "b")["rows"]] == [
        row["digest"] for row in first["rows"]
    ]
