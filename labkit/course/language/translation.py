"""Text cells in Chinese, kept in step with the English they were made from; notebooks with them.

A file ``docs/zh/01_hard_prompt.md`` holds the text cells of ``notebooks/01_hard_prompt.ipynb``,
each under a line that names the cell and the digest of the English that was translated::

    <!-- cell title 0a1b2c3d4e -->

    # 01 · 硬提示

`python -m labkit.course.language.translation` (make zh) puts them into copies of the notebooks,
with the same code and the same outputs, in ``notebooks/zh/``, and of the skeletons in
``assignments/zh/``. A copy that somebody has worked in stays as it is.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[3]

LANGUAGE = "zh"
FOLDERS = ("notebooks", "assignments")

BUILT = Path("build/zh.json")
"""Copy → digest of the file as `build` wrote it."""

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


def translated(notebook: NotebookNode, cells: dict[str, Cell]) -> NotebookNode:
    """A copy with Chinese text; a cell whose translation is missing or out of step stays English.

    Code, outputs and metadata are those of the notebook.
    """
    result = copy.deepcopy(notebook)
    for cell in result.cells:
        twin = cells.get(cell.id)
        if cell.cell_type == "markdown" and twin is not None and twin.digest == digest(cell.source):
            cell.source = twin.text
    return result


def write(path: Path, cells: Mapping[str, Cell]) -> None:
    """Write the file that `read` reads."""
    parts = [f"<!-- cell {name} {c.digest} -->\n\n{c.text}\n" for name, c in cells.items()]
    path.write_text("\n".join(parts), "utf-8")


def build(root: Path = ROOT) -> list[Path]:
    """Write the Chinese notebooks and skeletons of a checkout, where it has the English ones.

    A copy whose English is gone goes too. One that is no longer as it was written holds somebody's
    answers: it stays as it is.

    Returns:
        The files, those of the notebooks first, without those that stay.
    """
    texts, written = root / "docs" / LANGUAGE, []
    record = root / BUILT
    known: dict[str, str] = json.loads(record.read_text("utf-8")) if record.exists() else {}
    for name in FOLDERS:
        folder, sources = root / name / LANGUAGE, sorted((root / name).glob("*.ipynb"))
        if not sources or not texts.is_dir():
            continue
        folder.mkdir(exist_ok=True)
        for old in {path.name for path in folder.glob("*.ipynb")} - {path.name for path in sources}:
            (folder / old).unlink()
        for path in sources:
            target, cells = folder / path.name, read(texts / f"{path.stem}.md")
            text = nbformat.writes(translated(nbformat.read(path, as_version=4), cells)) + "\n"
            place = target.relative_to(root).as_posix()
            if target.exists() and digest(target.read_text("utf-8")) not in (
                known.get(place),
                digest(text),
            ):
                continue
            target.write_text(text, "utf-8")
            known[place] = digest(text)
            written.append(target)
    record.parent.mkdir(exist_ok=True)
    record.write_text(json.dumps(known, indent=1), "utf-8")
    return written


def main() -> None:
    """Build, and say which copies were written and which stay."""
    written = build()
    for path in written:
        print(path.relative_to(ROOT))
    for path in sorted(p for name in FOLDERS for p in (ROOT / name / LANGUAGE).glob("*.ipynb")):
        if path not in written:
            print(f"{path.relative_to(ROOT)} holds your work and stays; delete it for a new copy")


if __name__ == "__main__":
    main()
