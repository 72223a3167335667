"""The minutes that README and notebooks tell are those that were measured."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from conftest import ROOT
from labkit.course.language import translation
from labkit.course.pages import minutes

README = """Text.

| notebook | what it shows | minutes to run, 2 cores |
|---|---|---|
| [01 One](notebooks/01_one.ipynb) 一 | a [link](x), and more | 2 |
| [02 Two](notebooks/02_two.ipynb) 二 | other | 4 |

Both commands.
"""
SECONDS = {
    "bfloat16": {"01_one": 60.0, "02_two": 61.0},
    "float32": {"01_one": 200.0},
}


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """Two notebooks, one of them translated, and what was measured of them."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "docs/zh").mkdir(parents=True)
    (tmp_path / "README.md").write_text(README, "utf-8")
    (tmp_path / minutes.MEASURED).write_text(json.dumps(SECONDS), "utf-8")
    for stem in ("01_one", "02_two"):
        text = f"# {stem}\n\nAbout 9 minutes on two processor cores to run, 90 with the exercises."
        notebook = v4.new_notebook(cells=[v4.new_markdown_cell(text, id="title")])
        nbformat.write(notebook, tmp_path / f"notebooks/{stem}.ipynb")
    (tmp_path / "docs/zh/01_one.md").write_text(
        f"<!-- cell title {translation.digest(text)} -->\n\n# 一\n\n"
        "在两个处理器核心上运行约 9 分钟，连练习在内约 90 分钟。\n",
        "utf-8",
    )
    return tmp_path


def test_minutes_are_told_in_every_place_and_once(course: Path) -> None:
    for _ in range(2):  # a second time changes nothing
        minutes.write(course)
        readme = (course / "README.md").read_text("utf-8")
        assert "| minutes, 2 cores with bf16 | without |\n|---|---|---|---|\n" in readme
        assert "一 | a [link](x), and more | 1 | 4 |\n" in readme
        assert "二 | other | 2 | – |\n\nBoth commands." in readme
        first, second = (
            nbformat.read(course / f"notebooks/{stem}.ipynb", as_version=4).cells[0].source
            for stem in ("01_one", "02_two")
        )
        assert first.endswith(
            "About a minute on two processor cores to run (4 without bf16), 90 with the exercises."
        )
        assert "About 9 minutes" in second  # not measured in both precisions
        cell = translation.read(course / "docs/zh/01_one.md")["title"]
        assert cell.digest == translation.digest(first)
        assert "运行约 1 分钟（没有 bf16 时约 4 分钟），连练习" in cell.text


def test_minutes_that_are_the_same_in_both_precisions_are_told_once() -> None:
    alike = {"bfloat16": {"01_one": 61.0}, "float32": {"01_one": 119.0}}
    for language, before, after in (
        ("en", "About 9 minutes on two processor cores to run (2 without bf16).", "2 minutes"),
        ("zh", "在两个处理器核心上运行约 9 分钟（没有 bf16 时约 2 分钟）。", "约 2 分钟。"),
    ):
        told = minutes.told(before, language, "01_one", alike)
        assert after in told
        assert "bf16" not in told


def test_what_is_measured_already_is_not_run_again(course: Path, monkeypatch) -> None:
    ran = []
    monkeypatch.setenv("LABKIT_DTYPE", "float32")
    monkeypatch.setattr(minutes, "execute", lambda path, store: ran.append((path.stem, store)) or 7)
    paths = sorted((course / "notebooks").glob("*.ipynb"))
    minutes.measure(course, paths, store=False)
    assert ran == [("02_two", False)]
    assert minutes.seconds(course)["float32"] == {"01_one": 200.0, "02_two": 7}
    assert minutes.seconds(course)["bfloat16"] == SECONDS["bfloat16"]


def test_the_course_tells_what_was_measured() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    known = minutes.seconds(ROOT)
    assert ("| without |" in readme) == bool(known)
    if known:
        assert minutes.with_columns(readme, known) == readme
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        first = nbformat.read(path, as_version=4).cells[0].source
        assert " on two processor cores to run" in first
        both = all(path.stem in known.get(each, {}) for each in ("bfloat16", "float32"))
        if not both:
            assert "without bf16" not in first
        else:
            assert minutes.told(first, "en", path.stem, known) == first
