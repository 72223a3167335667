"""Exercises: where they stand in a notebook, and which of its other lines they need.

A notebook marks its exercises with nbgrader's cell metadata: solution cells, each followed by the
graded cells that examine it. To mark an exercise not all of the notebook has to run: a given cell
is cut into its statements, and of those only the ones are kept whose names the exercises use, and
the names that those use in turn.
"""

from __future__ import annotations

import ast
import dis
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import NamedTuple

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode


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
    found: list[tuple[NotebookNode, list[NotebookNode]]] = []
    for cell in notebook.cells:
        if is_solution(cell) and cell.cell_type == "code" and not is_by_hand(cell):
            found.append((cell, []))
        elif is_test(cell) and found:
            found[-1][1].append(cell)
    return [
        Exercise(exercise_name(solution), solution, tuple(tests))
        for solution, tests in found
        if tests
    ]


def exercise_name(cell: NotebookNode) -> str:
    """``ex3`` of the cells ``ex3-solution``, ``ex3-check`` and ``ex3-answer``."""
    return grading(cell)["grade_id"].rpartition("-")[0] or grading(cell)["grade_id"]


# ---- which lines a cell needs ----

LONGEST_WITH_MAGICS = 10_000
"""Characters: IPython takes minutes to translate long cells of nothing but magics."""


class _Statement(NamedTuple):
    cell: int
    source: str
    binds: frozenset[str]
    """Names that it gives a value."""
    changes: frozenset[str]
    """Names whose object it changes, as ``x.append(1)`` and ``x.y = 1`` do."""
    loads: frozenset[str]


def needed_lines(cells: Sequence[NotebookNode], kept: set[int]) -> dict[int, str]:
    """What has to run so that the ``kept`` cells can: index of a code cell → its source.

    Kept cells run whole, even if they are no Python: they report that. Of the others the statements
    that bind or change what is needed later; magics count as the Python that IPython makes of them.
    """
    statements = [
        statement
        for index, cell in enumerate(cells)
        if cell.cell_type == "code"
        for statement in _statements(index, cell.source, whole=index in kept)
    ]
    chosen = {i for i, statement in enumerate(statements) if statement.cell in kept}
    todo = list(chosen)
    while todo:
        position = todo.pop()
        for name in statements[position].loads:
            for i in _makers(name, position, statements) - chosen:
                chosen.add(i)
                todo.append(i)
    lines: dict[int, list[str]] = {}
    for i in sorted(chosen):
        lines.setdefault(statements[i].cell, []).append(statements[i].source)
    return {index: "\n".join(sources) for index, sources in lines.items()}


def unsolved_cells(cells: Sequence[NotebookNode]) -> set[int]:
    """Given cells that need an answer of the reader's, or what another such cell makes."""
    unsolved, found = set(), set()
    for index, cell in enumerate(cells):
        if cell.cell_type != "code" or is_test(cell):
            continue
        (whole,) = _statements(index, cell.source, whole=True)
        if is_solution(cell):
            unsolved |= whole.binds - _imported(cell.source)
        elif whole.loads & unsolved:
            found.add(index)
            unsolved |= whole.binds
        else:
            unsolved -= whole.binds
    return found


def _imported(source: str) -> set[str]:
    return {name for node in ast.parse(source).body if _is_import(node) for name in _names(node)[0]}


def _makers(name: str, position: int, statements: Sequence[_Statement]) -> set[int]:
    """The last statement that binds ``name`` before ``position``, and what changes it until then.

    Where nothing binds it before, the first that does so after: a function may name what is
    defined after it.
    """
    binders = [i for i, statement in enumerate(statements) if name in statement.binds]
    before = [i for i in binders if i < position]
    if not before:
        return set(binders[:1])
    start = before[-1]
    changers = (i for i in range(start + 1, position) if name in statements[i].changes)
    return {start, *changers}


def _statements(cell: int, source: str, whole: bool) -> Iterator[_Statement]:
    plain = source
    if not _is_python(source) and len(source) <= LONGEST_WITH_MAGICS:
        plain = TransformerManager().transform_cell(source)
    try:
        tree = ast.parse(plain)
        if whole:
            yield _Statement(cell, source, *_names(tree), _loads(plain))
            return
        yield from _cut(cell, plain, tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        if whole:
            nothing: frozenset[str] = frozenset()
            yield _Statement(cell, source, nothing, nothing, nothing)


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _cut(cell: int, source: str, tree: ast.Module) -> Iterator[_Statement]:
    imported = _imported(source)
    lines = source.splitlines()
    for node in tree.body:
        start = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        text = "\n".join(lines[start - 1 : node.end_lineno])
        binds, changes = _names(node)
        yield _Statement(cell, text, binds, changes - imported, _loads(text))


def _is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _loads(source: str) -> frozenset[str]:
    """Names that are looked up outside of functions, or inside as something global.

    Read off the compiled cell: whether a comprehension is a scope in the symbol table depends on
    the Python, which names its code takes from outside does not.
    """
    with warnings.catch_warnings(action="ignore"):  # of the student's text, not of labkit
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # which notebooks do too
        module = compile(source, "<cell>", "exec", flags=flags, dont_inherit=True)
    todo, found = [module], set()
    while todo:
        code = todo.pop()
        todo += [each for each in code.co_consts if isinstance(each, CodeType)]
        steps = list(dis.get_instructions(code))
        own = {step.argval for step in steps if step.opname == "STORE_NAME" and code is not module}
        found |= {step.argval for step in steps if step.opname in _LOOKS_UP} - own
    return frozenset(found)


def _names(tree: ast.AST) -> tuple[frozenset[str], frozenset[str]]:
    """Names bound at this level, and names whose object is changed."""
    binds, changes = set(), set()
    for node in _same_scope(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            binds.add(node.id)
        elif _is_import(node):
            binds |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, (*_SCOPES, ast.ExceptHandler)) and getattr(node, "name", None):
            binds.add(node.name)
        elif isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            changes.add(_base(node))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            changes.add(_base(node.value.func))
    return frozenset(binds), frozenset(changes - {""})


_LOOKS_UP = ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS")
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, *_COMPREHENSIONS)


def _same_scope(tree: ast.AST) -> Iterator[ast.AST]:
    """The node and what is inside it, without the insides of functions, classes and the like."""
    yield tree
    if not isinstance(tree, _SCOPES):
        for child in ast.iter_child_nodes(tree):
            yield from _same_scope(child)


def _base(node: ast.AST) -> str:
    """``x`` of ``x.y[0].z``; of a plain name nothing: ``f(x)`` does not change ``f``."""
    if isinstance(node, ast.Name):
        return ""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


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
