"""The term list and the Chinese text cells say what the notebooks say now."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from conftest import ROOT
from labkit.course.exercises.cells import LAB, is_lab
from labkit.course.language import translation

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TRANSLATED = sorted((ROOT / "docs/zh").glob("*.md"))

CODE = re.compile(r"`[^`\n]+`")
EQUATION = re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$", re.DOTALL)

# What a text has in common with its translation, once code and equations are out of the way.
COMMON = {
    "heading": re.compile(r"^#+ (?:\d+)?", re.MULTILINE),
    "fold": re.compile(r"</?(?:details|summary)>"),
    "link": re.compile(r"(?<=\]\()[^)\s]+(?=\))|https?://[^\s)）>，。]+"),
    "item": re.compile(r"^ *(?:-|\d+\.) ", re.MULTILINE),
    "table cell": re.compile(r"\|"),
    "emphasis": re.compile(r"\*+"),
    "difficulty": re.compile(r"[●○]+"),
    "number": re.compile(r"\d[\d.,]*\d"),  # of two digits or more: "five" may become 5
}

# Half-width punctuation at a Chinese character, and Chinese and Latin without a space between.
CRAMPED = re.compile(r"[\u4e00-\u9fff][\w,.;:?!()`$]|[\w,.;:?!()`$][\u4e00-\u9fff]", re.ASCII)


def short_name(stem: str) -> str:
    """``02`` of ``02_soft_prompt``, ``A`` of ``lab_a_soft_prompt``."""
    return stem.removeprefix(LAB)[0].upper() if is_lab(stem) else stem[:2]


def table_rows(text: str, header: str) -> list[list[str]]:
    """Cells of the rows below a table's header line."""
    rows = []
    for line in text.partition(header)[2].splitlines()[2:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_glossary_holds_the_terms_of_every_notebook_and_no_others() -> None:
    introduced = []
    for path in NOTEBOOKS:
        for cell in nbformat.read(path, as_version=4).cells:
            rows = table_rows(cell.source, "| English | 中文 | here |")
            introduced += [[*row, short_name(path.stem)] for row in rows]
    glossary = (ROOT / "docs/glossary.md").read_text("utf-8")
    listed = table_rows(glossary, "| English | 中文 | meaning here | notebook |")
    assert len(introduced) > 10
    assert sorted(listed) == sorted(introduced)
    assert listed == sorted(listed, key=lambda row: row[0].lower())


def differences(english: str, chinese: str) -> list[str]:
    """What a translation added, lost or changed that no language changes; and bad typography."""

    def parts(text: str) -> dict[str, Counter[str]]:
        bare = EQUATION.sub(" ", CODE.sub(" ", text))
        found = {"code": CODE.findall(text), "equation": EQUATION.findall(CODE.sub(" ", text))}
        found |= {kind: pattern.findall(bare) for kind, pattern in COMMON.items()}
        return {kind: Counter(each) for kind, each in found.items()}

    wanted, found = parts(english), parts(chinese)
    lines = [f"{k}: {dict(wanted[k] - found[k])} lost" for k in wanted if wanted[k] - found[k]]
    lines += [f"{k}: {dict(found[k] - wanted[k])} added" for k in wanted if found[k] - wanted[k]]
    prose = re.sub(r"\]\([^)]*\)", "", EQUATION.sub("$ $", CODE.sub("` `", chinese)))
    lines += [f"typography: {pair}" for pair in CRAMPED.findall(prose)]
    if not re.search(r"[\u4e00-\u9fff]", chinese):
        lines.append("not Chinese")
    return lines


def test_the_first_two_notebooks_are_translated() -> None:
    assert {"01_hard_prompt", "02_soft_prompt"} <= {path.stem for path in TRANSLATED}


@pytest.mark.parametrize("path", TRANSLATED, ids=lambda path: path.stem)
def test_translation_is_of_the_english_that_stands_there_now(path: Path) -> None:
    notebook = nbformat.read(ROOT / "notebooks" / f"{path.stem}.ipynb", as_version=4)
    cells = translation.read(path)
    assert translation.stale(notebook, cells) == []
    assert list(cells) == [c.id for c in notebook.cells if c.cell_type == "markdown"]


@pytest.mark.parametrize("path", TRANSLATED, ids=lambda path: path.stem)
def test_translation_keeps_what_is_not_language(path: Path) -> None:
    notebook = nbformat.read(ROOT / "notebooks" / f"{path.stem}.ipynb", as_version=4)
    english = {cell.id: cell.source for cell in notebook.cells}
    for name, (_, text) in translation.read(path).items():
        assert differences(english[name], text) == [], name


@pytest.mark.parametrize("path", TRANSLATED, ids=lambda path: path.stem)
def test_translation_uses_the_words_of_its_term_table(path: Path) -> None:
    notebook = nbformat.read(ROOT / "notebooks" / f"{path.stem}.ipynb", as_version=4)
    terms = [
        row[:2]
        for cell in notebook.cells
        for row in table_rows(cell.source, "| English | 中文 | here |")
    ]
    cells = translation.read(path).values()
    rows = [r[:2] for c in cells for r in table_rows(c.text, "| English | 中文 | 在本课中 |")]
    assert terms
    assert rows == terms


ENGLISH = """\
## See $p$ and `q`

**Goal:** 0.79 of [them](https://example.org/a), *not* all. **Difficulty** ●○

| a | b |
|---|---|

- one

<details><summary>Hint 1</summary>

$$ x^2 $$
</details>"""
CHINESE = """\
## 看 $p$ 和 `q`

**目标**：[它们](https://example.org/a)的 0.79 倍，*不是*全部。**难度** ●○

| 甲 | 乙 |
|---|---|

- 一

<details><summary>点拨 1</summary>

$$ x^2 $$
</details>"""


@pytest.mark.parametrize(
    ("right", "wrong", "kind"),
    [
        ("## 看", "看", "heading"),
        ("$p$", "$P$", "equation"),
        ("$$ x^2 $$", "", "equation"),
        ("`q`", "`r`", "code"),
        ("0.79", "0.97", "number"),
        ("/a)", "/b)", "link"),
        ("[它们](https://example.org/a)", "它们", "link"),
        ("*不是*", "不是", "emphasis"),
        ("●○", "●●", "difficulty"),
        ("| 乙 ", "", "table cell"),
        ("- 一", "一", "item"),
        ("</details>", "", "fold"),
        ("<summary>点拨 1</summary>", "", "fold"),
        ("，", ",", "typography"),
        ("的 0", "的0", "typography"),
        ("看 $", "看$", "typography"),
        ("和 `", "和`", "typography"),
    ],
)
def test_a_change_that_is_not_language_is_seen(right: str, wrong: str, kind: str) -> None:
    assert differences(ENGLISH, CHINESE) == []
    assert right in CHINESE
    seen = differences(ENGLISH, CHINESE.replace(right, wrong, 1))
    assert kind in {line.partition(":")[0] for line in seen}


def test_english_left_as_it_is_is_no_translation() -> None:
    assert "not Chinese" in differences(ENGLISH, ENGLISH)


def test_changed_missing_and_lost_cells_are_reported(tmp_path: Path) -> None:
    same, changed, new = (new_markdown_cell(t, id=t) for t in ("same", "changed", "new"))
    notebook = new_notebook(cells=[same, changed, new, new_code_cell("1 + 1", id="code")])
    lines = [
        f"<!-- cell same {translation.digest('same')} -->\n\n一\n",
        f"<!-- cell changed {translation.digest('as it was')} -->\n\n二\n",
        f"<!-- cell gone {translation.digest('gone')} -->\n\n三\n",
    ]
    path = tmp_path / "x.md"
    path.write_text("\n".join(lines), "utf-8")
    cells = translation.read(path)
    assert cells["same"].text == "一"
    assert [line.split(":")[0] for line in translation.stale(notebook, cells)] == [
        "new",
        "changed",
        "gone",
    ]
    assert translation.read(tmp_path / "none.md") == {}


def test_chinese_notebooks_differ_in_their_text_alone(tmp_path: Path) -> None:
    (tmp_path / "docs/zh").mkdir(parents=True)
    (tmp_path / "notebooks/zh").mkdir(parents=True)
    (tmp_path / "notebooks/zh/left.ipynb").write_text("{}")
    code = new_code_cell("1 + 1", id="code", metadata={"tags": ["x"]})
    code.outputs = [new_output("execute_result", {"text/plain": "2"}, execution_count=1)]
    texts = [new_markdown_cell(t, id=t) for t in ("one", "changed", "new")]
    english = new_notebook(cells=[*texts, code])
    nbformat.write(english, tmp_path / "notebooks/01_x.ipynb")
    (tmp_path / "docs/zh/01_x.md").write_text(
        f"<!-- cell one {translation.digest('one')} -->\n\n一\n\n"
        f"<!-- cell changed {translation.digest('as it was')} -->\n\n二\n",
        "utf-8",
    )
    written = translation.build(tmp_path)
    assert written == [tmp_path / "notebooks/zh/01_x.ipynb"] == [*written[0].parent.iterdir()]
    chinese = nbformat.read(written[0], as_version=4)
    assert [cell.source for cell in chinese.cells] == ["一", "changed", "new", "1 + 1"]
    chinese.cells[0].source = "one"
    assert chinese == nbformat.read(tmp_path / "notebooks/01_x.ipynb", as_version=4)


def test_a_copy_with_somebody_s_work_stays_and_others_follow_the_english(tmp_path: Path) -> None:
    (tmp_path / "docs/zh").mkdir(parents=True)
    (tmp_path / "assignments").mkdir()
    for name in ("01_x", "02_x"):
        cell = new_code_cell("### your answer", id="code")
        nbformat.write(new_notebook(cells=[cell]), tmp_path / f"assignments/{name}.ipynb")
    first, second = translation.build(tmp_path)
    assert translation.build(tmp_path) == [first, second]
    mine = nbformat.read(first, as_version=4)
    mine.cells[0].source = "1 + 1"
    nbformat.write(mine, first)
    for name in ("01_x", "02_x"):
        cell = new_code_cell("### your answer goes here", id="code")
        nbformat.write(new_notebook(cells=[cell]), tmp_path / f"assignments/{name}.ipynb")
    assert translation.build(tmp_path) == [second]
    assert nbformat.read(first, as_version=4).cells[0].source == "1 + 1"
    assert "goes here" in second.read_text("utf-8")
    (tmp_path / translation.BUILT).unlink()
    assert translation.build(tmp_path) == [second]
    assert nbformat.read(first, as_version=4).cells[0].source == "1 + 1"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    cells = {"one": translation.Cell("0" * 10, "一\n\n二"), "two": translation.Cell("1" * 10, "三")}
    translation.write(tmp_path / "x.md", cells)
    assert translation.read(tmp_path / "x.md") == cells


def test_skeletons_get_the_text_of_their_notebook_and_keep_the_places_for_answers() -> None:
    path = ROOT / "assignments/01_hard_prompt.ipynb"
    skeleton = nbformat.read(path, as_version=4)
    result = translation.translated(skeleton, translation.read(ROOT / "docs/zh/01_hard_prompt.md"))
    for before, after in zip(skeleton.cells, result.cells, strict=True):
        own = before.cell_type == "code" or before.metadata.get("nbgrader", {}).get("solution")
        assert (before.source == after.source) == bool(own), before.id
        assert before.metadata == after.metadata


def test_digest_ignores_white_space_at_line_ends_alone() -> None:
    assert translation.digest("a \nb\n") == translation.digest("a\nb")
    assert translation.digest("a\nb") != translation.digest("a b")
