"""Text cells in another language, kept in step with the English they were made from.

A file ``docs/zh/01_hard_prompt.md`` holds the text cells of ``notebooks/01_hard_prompt.ipynb``,
each under a line that names the cell and the digest of the English that was translated::

    <!-- cell title 0a1b2c3d4e -->

    # 01 · 硬提示
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from nbformat import NotebookNode

_MARK = re.compile(r"^<!-- cell (\S+) ([0-9a-f]{10}) -->$", re.MULTILINE)


class Cell(NamedTuple):
    """A translated text, and the digest of the English cell at that time."""

    digest: str
    text: str


def digest(english: str) -> str:
    """Ten hexadecimal digits that change with the text, but not with white space at line ends."""
    text = "\n".join(line.rstrip() for line in english.strip().splitlines())
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def read(path: Path) -> dict[str, Cell]:
    """Cell id → its translation; empty for a file that is not there."""
    if not path.exists():
        return {}
    _, *parts = _MARK.split(path.read_text("utf-8"))
    return {
        name: Cell(code, text.strip())
        for name, code, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    }


def stale(notebook: NotebookNode, cells: dict[str, Cell]) -> list[str]:
    """Lines that say which text cells have no translation, and which changed since they had one."""
    english = {c.id: digest(c.source) for c in notebook.cells if c.cell_type == "markdown"}
    missing = [f"{name}: not translated" for name in english if name not in cells]
    changed = [
        f"{name}: the English changed (now {english[name]}): translate it again"
        for name, cell in cells.items()
        if name in english and english[name] != cell.digest
    ]
    gone = [f"{name}: no such cell" for name in cells if name not in english]
    return missing + changed + gone
