"""The term list and the Chinese text cells say what the notebooks say now."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from conftest import ROOT
from labkit.course import translation

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TRANSLATED = sorted((ROOT / "docs/zh").glob("*.md"))


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
            introduced += [[*row, path.stem[:2]] for row in rows]
    glossary = (ROOT / "docs/glossary.md").read_text("utf-8")
    listed = table_rows(glossary, "| English | 中文 | meaning here | notebook |")
    assert len(introduced) > 10
    assert sorted(listed) == sorted(introduced)
    assert listed == sorted(listed, key=lambda row: row[0].lower())


@pytest.mark.parametrize("path", TRANSLATED, ids=lambda path: path.stem)
def test_translation_is_of_the_english_that_stands_there_now(path: Path) -> None:
    notebook = nbformat.read(ROOT / "notebooks" / f"{path.stem}.ipynb", as_version=4)
    assert translation.stale(notebook, translation.read(path)) == []


@pytest.mark.parametrize("path", TRANSLATED, ids=lambda path: path.stem)
def test_translation_is_chinese_and_keeps_equations_and_code(path: Path) -> None:
    notebook = nbformat.read(ROOT / "notebooks" / f"{path.stem}.ipynb", as_version=4)
    english = {cell.id: cell.source for cell in notebook.cells}
    for name, (_, text) in translation.read(path).items():
        assert re.search(r"[\u4e00-\u9fff]", text), f"{name} is not Chinese"
        for kept in (r"\$\$.+?\$\$", r"<details>", r"^#+ "):
            found, wanted = (len(re.findall(kept, t, re.M | re.S)) for t in (text, english[name]))
            assert found == wanted, f"{name}: {found} of {kept}, the English has {wanted}"


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


def test_digest_ignores_white_space_at_line_ends_alone() -> None:
    assert translation.digest("a \nb\n") == translation.digest("a\nb")
    assert translation.digest("a\nb") != translation.digest("a b")
