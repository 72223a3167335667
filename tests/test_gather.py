"""Rows of one table from several folders: each once, with its files; two makings never mix."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from labkit import experiments
from labkit.core.engines import LocalEngine
from labkit.core.errors import LabError
from labkit.experiments import order
from labkit.experiments.base import runner
from labkit.experiments.base.recipe import Recipe
from labkit.experiments.gather import gather
from labkit.experiments.order import OrderSetting

RECIPE = Recipe(length=5, steps=2, batch_size=4)


@pytest.fixture
def run(monkeypatch, tiny_task, tiny_folder):
    """Runs some seeds of a small table of orders into a folder."""
    monkeypatch.setattr(runner, "load_task", lambda name: tiny_task)
    monkeypatch.setattr(order, "learns", lambda gate: True)
    order.shared_backbone.cache_clear()

    def start(out, *seeds, recipe=RECIPE, names=("single", "again")):
        lines = [
            OrderSetting(name, str(tiny_folder("llama")), recipe, permutations=3 + len(name))
            for name in names
        ]
        table = replace(experiments.EXPERIMENTS["table2"], settings=lambda *_: lines)
        asked = {"profile": "small", "backbone": None, "task": None, "limit": None}
        asked |= {"resume": True, "on_progress": None, "engine": LocalEngine(workers=1)}
        return runner.run_grid(table, seeds=seeds, out=out, **asked)

    return start


def without_seconds(result):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in result["rows"]]


def test_what_machines_ran_apart_is_what_one_would_have_run(run, tmp_path):
    whole = run(tmp_path / "whole", 0, 1, 2)
    for seed in (0, 1, 2):
        run(tmp_path / str(seed), seed)
    (file,) = gather([tmp_path / str(seed) for seed in (1, 0, 2)], tmp_path / "all")
    together = json.loads(file.read_text(encoding="utf-8"))
    assert without_seconds(together) == without_seconds(whole)
    for part in ("pooled", "summary", "settings", "command", "file"):
        assert together[part] == whole[part]
    report = file.with_suffix(".md").read_text(encoding="utf-8")
    assert report == (tmp_path / "whole" / f"{file.stem}.md").read_text(encoding="utf-8")
    run(tmp_path / "all", 0, 1, 2)  # nothing is left to run: it would train, and write prompts
    assert not (tmp_path / "all" / "prompts").exists()


def test_rows_of_before_stay_only_where_they_were_made_alike(run, tmp_path):
    run(tmp_path / "all", 0, recipe=replace(RECIPE, lr=0.5))
    run(tmp_path / "new", 1)
    lines = []
    (file,) = gather([tmp_path / "new"], tmp_path / "all", note=lines.append)
    result = json.loads(file.read_text(encoding="utf-8"))
    assert [row["seed"] for row in result["rows"]] == [1, 1]
    assert [(row["seed"], row["setting"]) for row in result["stale"]] == [
        (0, "single"),
        (0, "again"),
    ]
    said = "of rows made otherwise before, 0 are replaced and 2 wait to be made again"
    assert f"{file.stem}: {said}" in lines
    run(tmp_path / "more", 0)
    gather([tmp_path / "more"], tmp_path / "all")
    result = json.loads(file.read_text(encoding="utf-8"))
    assert [(row["seed"], row["setting"]) for row in result["rows"]] == [
        (seed, name) for seed in (0, 1) for name in ("single", "again")
    ]
    assert "stale" not in result


def test_a_matrix_that_another_table_reads_is_not_changed_under_it(run, tmp_path):
    first = run(tmp_path / "all", 0)
    second = run(tmp_path / "new", 0, recipe=replace(RECIPE, lr=0.5))
    stem, other = first["file"], "table3-tiny"
    for row in second["rows"]:  # as a row that table 3 took from table 2
        assert row["matrix"].startswith(f"{stem}/")
    (tmp_path / "new" / f"{stem}.json").rename(tmp_path / "new" / f"{other}.json")
    before = (tmp_path / "all" / first["rows"][0]["matrix"]).read_bytes()
    with pytest.raises(LabError, match=f"shares .* with {stem}, .* gather {stem} too"):
        gather([tmp_path / "new"], tmp_path / "all")
    assert (tmp_path / "all" / first["rows"][0]["matrix"]).read_bytes() == before


def test_a_setting_that_some_machines_did_not_reach_is_named(run, tmp_path):
    run(tmp_path / "0", 0)
    run(tmp_path / "1", 1, names=("single",))
    lines = []
    (file,) = gather([tmp_path / "0", tmp_path / "1"], tmp_path / "all", note=lines.append)
    assert lines == [
        f"{file.stem}: 3 rows, seeds 0, 1",
        f"{file.stem}: again: seeds 0",
    ]


def test_what_is_refused_has_changed_nothing(run, tmp_path):
    first = run(tmp_path / "all", 0)
    matrix = tmp_path / "all" / first["rows"][0]["matrix"]
    before = matrix.read_bytes()
    run(tmp_path / "a", 0, recipe=replace(RECIPE, lr=0.5))
    run(tmp_path / "b", 0, recipe=replace(RECIPE, lr=0.1))
    with pytest.raises(LabError, match="was made otherwise in another folder"):
        gather([tmp_path / "a", tmp_path / "b"], tmp_path / "all")
    assert matrix.read_bytes() == before


def test_a_file_that_is_no_result_is_not_replaced(run, tmp_path):
    """Damaged, or somebody else's: for the file, and for the report beside it."""
    name = f"{run(tmp_path / 'new', 0)['file']}.json"
    report = name.replace(".json", ".md")
    for theirs, text, match in (
        (name, '{"rows": [', "is damaged, or no result of labkit's"),
        (name, '{"mine": true}', "is damaged, or no result of labkit's"),
        (
            name,
            '{"command": "labkit run table1", "rows": [{"seed": 0}]}',
            "is damaged, or no result of labkit's",
        ),
        (report, "my own notes", "is no report of labkit's"),
    ):
        (tmp_path / "all").mkdir()
        (tmp_path / "all" / theirs).write_text(text, encoding="utf-8")
        with pytest.raises(LabError, match=match):
            gather([tmp_path / "new"], tmp_path / "all")
        assert [path.name for path in (tmp_path / "all").iterdir()] == [theirs]
        assert (tmp_path / "all" / theirs).read_text(encoding="utf-8") == text
        shutil.rmtree(tmp_path / "all")


def test_a_damaged_file_among_the_sources_is_named(run, tmp_path):
    run(tmp_path / "new", 0)
    (tmp_path / "new" / "table1.json").write_text('{"command": "labkit run", "rows": [{}]}')
    notes = []
    (file,) = gather([tmp_path / "new"], tmp_path / "all", note=notes.append)
    assert file.is_file() and any("table1.json is damaged" in line for line in notes)


def test_rows_join_those_of_the_folder_itself(run, tmp_path):
    run(tmp_path / "all", 0)
    run(tmp_path / "1", 1)
    (file,) = gather([tmp_path / "all", tmp_path / "1"], tmp_path / "all")
    result = json.loads(file.read_text(encoding="utf-8"))
    assert [row["seed"] for row in result["rows"]] == [0, 0, 1, 1]
    assert all((tmp_path / "all" / row["matrix"]).is_file() for row in result["rows"])


def test_what_can_not_be_brought_together_is_refused(run, tmp_path):
    run(tmp_path / "a", 0)
    run(tmp_path / "b", 0, recipe=replace(RECIPE, lr=0.5))
    (file,) = (tmp_path / "b").glob("table2-*.json")
    with pytest.raises(LabError, match="single, seed 0 was made otherwise in another folder"):
        gather([tmp_path / "a", tmp_path / "b"], tmp_path / "all")
    (tmp_path / "none").mkdir()
    with pytest.raises(LabError, match="none holds no result"):
        gather([tmp_path / "none"], tmp_path / "all")
    next((tmp_path / "a").glob("table2-*/single-seed0.npz")).unlink()
    with pytest.raises(LabError, match=r"single-seed0\.npz is named by .* and is not there"):
        gather([tmp_path / "a"], tmp_path / "all")
    with pytest.raises(LabError, match=rf"--only tabel2: there is no .* give {file.stem}$"):
        gather([tmp_path / "b"], tmp_path / "all", only=["tabel2"])
    other = json.loads(file.read_text(encoding="utf-8")) | {"name": "table99"}
    file.write_text(json.dumps(other), encoding="utf-8")
    with pytest.raises(LabError, match=r"table2-.*\.json is of 'table99', no experiment here"):
        gather([tmp_path / "b"], tmp_path / "all")
    command = [sys.executable, "-m", "labkit.experiments.gather", str(tmp_path / "none")]
    ended = subprocess.run([*command, "--out", str(tmp_path)], capture_output=True, text=True)
    assert ended.returncode == 2 and ended.stderr.startswith("error: ")
