"""Predictions in a submitted notebook: how many, and how many ranges hold their number.

They are no part of the points. The numbers are those of the masters, as they are stored; when a
prediction was typed, before its figure or after, a notebook does not tell.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from nbformat import NotebookNode

from labkit.core.errors import LabError
from labkit.course.interact.predictions import OUTCOME, Prediction, predict, prediction


class Predicted(NamedTuple):
    """Of one notebook, or of several."""

    asked: int
    committed: int
    held: int
    """Ranges that hold their number."""

    def __str__(self) -> str:
        if not self.asked:
            return ""
        return f"{self.committed} of {self.asked} committed, {self.held} hold"

    @classmethod
    def total(cls, parts: Iterable[Predicted]) -> Predicted:
        return cls(*(sum(counts) for counts in zip(cls(0, 0, 0), *parts, strict=True)))


def predicted(cells: Sequence[Mapping[str, Any]], master: NotebookNode) -> Predicted:
    """What a student committed in a notebook, held against its master's numbers.

    Args:
        cells: as :func:`labkit.course.marking.submissions.submitted_cells` reads them.
    """
    numbers = outcomes(master)
    typed = committed(cell["source"] for cell in cells if cell["kind"] == "code")
    known = [(typed[name], value) for name, value in numbers.items() if name in typed]
    held = sum(typed_range.missed_by(value) == 0 for typed_range, value in known)
    return Predicted(len(numbers), len(known), held)


def outcomes(master: NotebookNode) -> dict[str, float]:
    """Question → its number, from the outputs of an executed master."""
    outputs = [o for cell in master.cells for o in cell.get("outputs", [])]
    marked = [o.metadata[OUTCOME] for o in outputs if OUTCOME in o.get("metadata", {})]
    return {outcome["name"]: outcome["value"] for outcome in marked}


def committed(sources: Iterable[str]) -> dict[str, Prediction]:
    """Question → what was typed last, of cells that are read and not run."""
    typed = {}
    for source in sources:
        for name, *numbers in _calls(source):
            try:
                typed_range = prediction(name, *numbers)
            except LabError:  # the notebook has told the student
                typed_range = None
            if typed_range is not None:
                typed[name] = typed_range
    return typed


def only_predicts(source: str) -> bool:
    """Whether a cell does nothing but import, and predict with plain numbers."""
    statements = _parsed(source)
    imports = [
        statement for statement in statements if isinstance(statement, ast.Import | ast.ImportFrom)
    ]
    return 0 < len(statements) == len(imports) + len(list(_calls(source)))


def _calls(source: str) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Name, guess, low and high of each statement that predicts with plain numbers."""
    for statement in _parsed(source):
        match statement:
            case ast.Expr(ast.Call(ast.Name(predict.__name__), [name], keywords)):
                try:
                    given = {word.arg: ast.literal_eval(word.value) for word in keywords}
                    label = ast.literal_eval(name)
                except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                    continue
                if isinstance(label, str) and given.keys() <= set(Prediction._fields):
                    yield label, *(given.get(word, ...) for word in Prediction._fields)


def _parsed(source: str) -> list[ast.stmt]:
    try:
        return ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
