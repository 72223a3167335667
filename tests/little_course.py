"""A course of one small notebook that needs no labkit, and what students make of it.

A submission takes about as long as its kernel takes to start.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat import v4

from labkit.course.exercises.cells import SKIPPABLE
from labkit.course.marking import gradebook
from labkit.course.marking.sandbox import Limits, isolates

NAME = "01_little"
LIMITS = Limits(cell_s=3, total_s=25, memory=1 << 30)
TWICE = "def twice(x):\n    return 2 * x"
SHOUT = "def shout(text):\n    return text.upper() + suffix"
CHECK_TWICE = "assert twice(3) == 6, 'twice(3) should be 6'"
HIDDEN = (
    "### BEGIN HIDDEN TESTS\nassert twice(-4) == -8, 'twice(-4) should be -8'\n### END HIDDEN TESTS"
)


def marked(cell: nbformat.NotebookNode, name: str, points: int | None = None, **flags: bool):
    """A cell with nbgrader's metadata and an id."""
    flags = {"grade": False, "solution": False, "locked": False, "task": False} | flags
    cell["metadata"]["nbgrader"] = {"schema_version": 3, "grade_id": name, **flags}
    if points is not None:
        cell["metadata"]["nbgrader"]["points"] = points
    cell["id"] = name
    return cell


def solution(body: str) -> str:
    head, _, rest = body.partition("\n")
    return f"{head}\n    ### BEGIN SOLUTION\n{rest}\n    ### END SOLUTION"


def master() -> nbformat.NotebookNode:
    cells = [
        v4.new_code_cell("import time\nsuffix = '!'\ntime.sleep(0)", id="given"),
        marked(v4.new_code_cell(solution(TWICE)), "ex1-solution", solution=True),
        marked(
            v4.new_code_cell(f"{CHECK_TWICE}\n{HIDDEN}"), "ex1-check", 1, grade=True, locked=True
        ),
        v4.new_code_cell(
            "long_run = 2\nraise RuntimeError('a given cell that no exercise needs')",
            id="show",
            metadata={"tags": [SKIPPABLE]},
        ),
        marked(v4.new_code_cell(solution(SHOUT)), "ex2-solution", solution=True),
        marked(
            v4.new_code_cell("assert shout('a') == 'A!', 'shout(a) should be A!'"),
            "ex2-check",
            2,
            grade=True,
            locked=True,
        ),
        marked(v4.new_markdown_cell("Because."), "ex3-answer", 1, grade=True, solution=True),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def submission(
    twice: str = TWICE,
    shout: str = SHOUT,
    change: Callable[[nbformat.NotebookNode], object] = lambda notebook: None,
) -> str:
    """A student's file."""
    notebook = master()
    notebook.cells[1].source, notebook.cells[4].source = twice, shout
    notebook.cells[2].source, notebook.cells[6].source = CHECK_TWICE, "I think so."
    change(notebook)
    return json.dumps(notebook)  # nbformat would mend what is wrong with it


def body(lines: str) -> str:
    """A ``twice`` that does something first and then gives the right answer."""
    return "def twice(x):\n" + "\n".join(
        f"    {line}" for line in [*lines.split("\n"), "return 2 * x"]
    )


def drop(*names: str) -> Callable[[nbformat.NotebookNode], None]:
    def change(notebook: nbformat.NotebookNode) -> None:
        notebook.cells = [cell for cell in notebook.cells if cell.id not in names]

    return change


def edit(name: str, source: str) -> Callable[[nbformat.NotebookNode], None]:
    def change(notebook: nbformat.NotebookNode) -> None:
        next(cell for cell in notebook.cells if cell.id == name).source = source

    return change


def twin(notebook: nbformat.NotebookNode) -> None:
    """The solution cell copied, id and all: the first says nonsense, the second is right."""
    notebook.cells.insert(1, notebook.cells[1].copy())
    notebook.cells[1].source = "def twice(x):\n    return 'nonsense'"


def other_kernel(notebook: nbformat.NotebookNode) -> None:
    notebook.metadata.kernelspec = {"name": "ir", "display_name": "R", "language": "R"}


def leaves_before_twice(notebook: nbformat.NotebookNode) -> None:
    """``exit()``: the kernel answers and ends a moment later, here under the cell after next."""
    notebook.cells.insert(1, v4.new_code_cell("exit()"))
    notebook.cells.insert(2, v4.new_code_cell("import time\ntime.sleep(1)"))


def own_cells(notebook: nbformat.NotebookNode) -> None:
    notebook.cells.insert(0, v4.new_code_cell("two = 2"))
    notebook.cells.insert(1, v4.new_code_cell("while True:\n    pass"))
    notebook.cells.insert(2, v4.new_code_cell("!ls\nfactor = two"))


def no_metadata(notebook: nbformat.NotebookNode) -> None:
    for cell in notebook.cells:
        cell["metadata"] = {}


WRONG = "def twice(x):\n    return x"


def hand_in(folder: Path, content: str | bytes) -> None:
    folder.mkdir(parents=True)
    raw = content if isinstance(content, bytes) else content.encode()
    (folder / f"{NAME}.ipynb").write_bytes(raw)


def make_course(root: Path) -> Path:
    """The folder of a course with the master in it."""
    (root / "notebooks").mkdir(parents=True)
    nbformat.write(master(), root / "notebooks" / f"{NAME}.ipynb")
    return root


def grade(*paths: Path) -> gradebook.Report:
    """On a system without doors, with what the tests themselves hand in: they are trusted."""
    return gradebook.grade(*paths, LIMITS, not_isolated=not isolates())
