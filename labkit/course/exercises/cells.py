"""Exercises: where they stand in a notebook, and which of its cells run to mark them.

A notebook marks its exercises with nbgrader's cell metadata: solution cells, each followed by the
graded cells that examine it. To mark them not all of the notebook has to run: the long given cells
carry the tag :data:`SKIPPABLE`.

A capstone (:func:`is_lab`) is such a notebook too; it has no module of the library behind it.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

LAB = "lab_"
"""How the names of capstones begin (``lab_a_soft_prompt``); other notebooks have a number."""


def is_lab(stem: str) -> bool:
    """Whether a notebook is a capstone, in which several exercises make one thing."""
    return stem.startswith(LAB)


def grading(cell: NotebookNode) -> dict:
    """nbgrader's metadata of a cell; empty for a cell without."""
    return cell.metadata.get("nbgrader", {})


def is_solution(cell: NotebookNode) -> bool:
    """A cell that the student writes."""
    return bool(grading(cell).get("solution"))


def is_test(cell: NotebookNode) -> bool:
    """A code cell that examines an exercise and earns its points."""
    return bool(grading(cell).get("grade")) and not is_solution(cell) and cell.cell_type == "code"


def is_by_hand(cell: NotebookNode) -> bool:
    """A free-text (or free-code) answer that a person marks."""
    return bool(grading(cell).get("grade")) and is_solution(cell)


@dataclass(frozen=True)
class Exercise:
    """One exercise: its name (``ex3``), the cell to write and the cells that examine it."""

    name: str
    solution: NotebookNode
    tests: tuple[NotebookNode, ...]

    @property
    def points(self) -> float:
        return sum(grading(cell)["points"] for cell in self.tests)


def exercises(notebook: NotebookNode) -> list[Exercise]:
    """The exercises that are marked by running them, in order."""
    solutions: list[tuple[NotebookNode, list[NotebookNode]]] = []
    for cell in notebook.cells:
        if is_solution(cell) and cell.cell_type == "code" and not is_by_hand(cell):
            solutions.append((cell, []))
        elif is_test(cell) and solutions:
            solutions[-1][1].append(cell)
    return [
        Exercise(exercise_name(solution), solution, tuple(tests))
        for solution, tests in solutions
        if tests
    ]


def exercise_name(cell: NotebookNode) -> str:
    """``ex3`` of the cells ``ex3-solution``, ``ex3-check`` and ``ex3-answer``."""
    return grading(cell)["grade_id"].rpartition("-")[0] or grading(cell)["grade_id"]


# ---- what runs when exercises are marked ----

SKIPPABLE = "skip-in-marking"
"""Tag of a given cell that no exercise needs: the long runs, and what is drawn of them."""

ADDED, EDITED = "added", "edited"
"""Keys in the metadata of cells that are, as they stand, the student's own."""


def is_given(cell: NotebookNode) -> bool:
    """A code cell of the course's own, unchanged, that is no exercise's."""
    by_student = cell.metadata.get(ADDED) or cell.metadata.get(EDITED)
    return (
        cell.cell_type == "code" and not by_student and not is_solution(cell) and not is_test(cell)
    )


def is_skippable(cell: NotebookNode) -> bool:
    """A given cell that need not run for the exercises."""
    return is_given(cell) and SKIPPABLE in cell.metadata.get("tags", [])


def to_run(cells: Sequence[NotebookNode], *, skipping: bool = True) -> dict[int, str]:
    """Index of each code cell that runs in marking → its source, in order.

    Everything runs whole, and of the skippable cells their imports, which the rest of the notebook
    may rely on.

    Args:
        skipping: false: the skippable cells run whole, too.
    """
    sources = {
        index: _imports(cell.source) if skipping and is_skippable(cell) else cell.source
        for index, cell in enumerate(cells)
        if cell.cell_type == "code"
    }
    return {index: source for index, source in sources.items() if source.strip()}


def _imports(source: str) -> str:
    imports = [n for n in ast.parse(source).body if isinstance(n, ast.Import | ast.ImportFrom)]
    return "\n".join(ast.unparse(node) for node in imports)


def unsolved_cells(cells: Sequence[NotebookNode]) -> set[int]:
    """Given cells that name an answer of the reader's, or what another such cell binds."""
    unsolved: set[str] = set()
    indices = set()
    for index, cell in enumerate(cells):
        if cell.cell_type != "code" or is_test(cell):
            continue
        tree = ast.parse(cell.source)
        if is_solution(cell):
            unsolved |= defined_names(tree)
            continue
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        bound = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        if unsolved & {node.id for node in names if isinstance(node.ctx, ast.Load)}:
            indices.add(index)
            unsolved |= bound
        else:
            unsolved -= bound
    return indices


def defined_names(tree: ast.Module) -> set[str]:
    """Functions and classes that a cell defines."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {node.name for node in tree.body if isinstance(node, kinds)}


# ---- files ----


def read(path: Path) -> NotebookNode:
    """A notebook of the course."""
    return nbformat.read(path, as_version=4)


def read_answers(folder: Path) -> dict[str, dict[str, str]]:
    """``<exercise>/<name>.py`` below a folder: exercise → name → source of its solution cell."""
    answers: dict[str, dict[str, str]] = {}
    for file in sorted(folder.glob("*/*.py")):
        answers.setdefault(file.parent.name, {})[file.stem] = file.read_text("utf-8")
    return answers
