"""Every family of the zoo: its scores are Hugging Face's, or it is refused in one line."""

from __future__ import annotations

import pytest

from families import DOCUMENT, Row, document, examine
from zoo import FAMILIES

TABLE = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line[:2] == "| "]


@pytest.mark.parametrize("name", FAMILIES)
def test_equal_or_refused(tmp_path, tiny_task, name):
    """And docs/models.md says which, in the words of today."""
    row = examine(name, FAMILIES[name].build(tmp_path / name), tiny_task)
    assert [line for line in TABLE if line.startswith(f"| {name} |")] == [str(row)]


def test_the_document_lists_these_families_and_is_otherwise_as_it_is_written():
    listed = [line.split("|")[1].strip() for line in TABLE[1:]]
    assert listed == list(FAMILIES)
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = [Row(*(cell.strip() for cell in line.strip("| ").split("|"))) for line in TABLE[1:]]
    assert document([]) == text[: len(document([]))] and len(rows) == len(FAMILIES)
