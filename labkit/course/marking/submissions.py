"""A submitted file, read as data, and only the student's own text taken from it.

Solution cells, edits of given cells and added cells are the student's; everything else comes from
the skeleton, so deleted, doubled or edited tests change nothing (:func:`restored`). Predictions are
read and not run (:mod:`labkit.course.marking.predicted`).
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode, v4

from labkit.course.exercises.cells import (
    ADDED,
    EDITED,
    exercise_name,
    grading,
    is_solution,
    is_test,
)
from labkit.course.marking.collecting import LARGEST_FILE, cell_text
from labkit.course.marking.predicted import only_predicts

MOST_CELLS, MOST_CODE = 1000, 1 << 20

SCOPES = ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


class Unreadable(Exception):
    """Why a submitted file can't be marked at all."""


def submitted_cells(file: Path) -> list[dict[str, Any]]:
    """The cells of a submitted notebook: ``kind``, ``id``, ``grade_id``, ``source``.

    Nothing of the file is trusted: no kernel name, no output, no metadata but ids.

    Raises:
        Unreadable: with a reason for the student.
    """
    try:
        if not file.is_file():
            raise Unreadable("this is not a file")
        if file.stat().st_size > LARGEST_FILE:
            raise Unreadable(f"the file is larger than {LARGEST_FILE >> 20} MB: clear its outputs")
        content = json.loads(file.read_text("utf-8-sig"))
    except (ValueError, RecursionError, OSError) as error:
        raise Unreadable(f"this is no notebook: {type(error).__name__}") from error
    cells = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(cells, list):
        raise Unreadable("this is no notebook of format 4: it has no list of cells")
    if len(cells) > MOST_CELLS:
        raise Unreadable(f"{len(cells)} cells are too many")
    read = [_cell(cell) for cell in cells if isinstance(cell, dict)]
    if sum(len(cell["source"]) for cell in read) > MOST_CODE:
        raise Unreadable("the text of its cells is larger than 1 MB")
    return read


def _cell(cell: dict) -> dict[str, Any]:
    metadata = cell.get("metadata")
    marking = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    name = marking.get("grade_id") if isinstance(marking, dict) else None
    return {
        "kind": cell.get("cell_type"),
        "id": cell.get("id") if isinstance(cell.get("id"), str) else None,
        "grade_id": name if isinstance(name, str) else None,
        "source": cell_text(cell),
    }


def restored(skeleton: NotebookNode, cells: Sequence[Mapping[str, Any]]) -> NotebookNode:
    """The skeleton with a student's own text in it, in the order in which the student has it.

    An answer that was split, or copied, stands in several cells: all of them run, the last one in
    the place of the skeleton's, the others as added cells before it; copies behind the check stay
    behind it. An answer that was moved into another cell, or merged with one, runs where it stands,
    and no stub after it. Test cells are the skeleton's. Added code cells stand behind the cell of
    the skeleton that they followed.
    """
    bound = [_bound(cell["source"]) if cell["kind"] == "code" else set() for cell in cells]
    places = _places(skeleton.cells, cells, bound)
    elsewhere: set[str] = set()
    for cell, place, names in zip(cells, places, bound, strict=True):
        if place is None or cell["source"] != skeleton.cells[place].source:
            elsewhere |= names
    answers = _answers(skeleton.cells, places)
    final = {place: number for number, place in enumerate(places)}
    written: dict[int, str] = {}
    before: dict[int, list[str]] = {}
    after: dict[int, list[str]] = {}
    last = -1
    for number, (cell, place) in enumerate(zip(cells, places, strict=True)):
        if place is None or (place in answers and number > answers[place]):
            if cell["kind"] == "code" and cell["source"].strip():
                after.setdefault(last, []).append(cell["source"])
            continue
        original = skeleton.cells[place]
        if is_test(original):
            last = place if number == final[place] else last  # a copy stands anywhere
            continue
        last = place
        if written.get(place, "").strip() and written[place] != original.source:
            before.setdefault(place, []).append(written[place])
        written[place] = cell["source"]
    result = [_added(source) for source in after.get(-1, [])]
    for place, original in enumerate(skeleton.cells):
        source = written.get(place, _left(original, elsewhere))
        rewritten = _rewritten(original, source, before.get(place, []))
        result += [*rewritten, *(_added(source) for source in after.get(place, []))]
    for number, cell in enumerate(c for c in result if c.metadata.get(ADDED)):
        cell["id"] = f"added-{number}"
    return v4.new_notebook(cells=result, metadata=skeleton.metadata)


def _left(original: NotebookNode, elsewhere: set[str]) -> str:
    """What stands for a cell that the file lacks: the skeleton's, but no stub over an answer."""
    is_stub = original.cell_type == "code" and is_solution(original)
    if is_stub and _bound(original.source) & elsewhere:
        return "# the answer stands in another cell"
    return original.source


def _rewritten(original: NotebookNode, source: str, before: list[str]) -> Iterator[NotebookNode]:
    """A cell of the skeleton with a student's text, and the earlier parts of a split one."""
    cell = NotebookNode(original, metadata=NotebookNode(original.metadata))
    if only_predicts(original.source) and all(map(only_predicts, [source, *before])):
        source, before = original.source, []
    if original.cell_type == "markdown":
        cell["source"] = "\n\n".join([*before, source])
    else:
        yield from map(_added, before)
        cell["source"] = source
    if original.cell_type == "code" and source != original.source and not is_solution(original):
        cell.metadata[EDITED] = True
    yield cell


def _added(source: str) -> NotebookNode:
    return v4.new_code_cell(source, metadata={ADDED: True})


def _places(
    skeleton: Sequence[NotebookNode],
    cells: Sequence[Mapping[str, Any]],
    bound: Sequence[set[str]],
) -> list[int | None]:
    """For each submitted cell the place of its original: by grade_id, by id, else by its text.

    By text: a given or test cell is the one with the same source; an answer whose cell has lost its
    ids binds what the skeleton's stub defines, of one stub: a cell that answers two exercises has
    no original. A text that has lost them, and stands where a written answer belongs, is that
    answer.
    """
    names = {grading(cell)["grade_id"]: i for i, cell in enumerate(skeleton) if grading(cell)}
    ids = {cell.id: i for i, cell in enumerate(skeleton)}
    sources = {c.source: i for i, c in enumerate(skeleton) if c.source and not is_solution(c)}
    places = [
        names.get(cell["grade_id"], ids.get(cell["id"], sources.get(cell["source"])))
        for cell in cells
    ]
    stubs = {
        name: place
        for place, cell in enumerate(skeleton)
        if is_solution(cell) and cell.cell_type == "code" and place not in places
        for name in _bound(cell.source)
    }
    for number, names in enumerate(bound):
        answered = {stubs[name] for name in names & stubs.keys()}
        if places[number] is None and len(answered) == 1:
            places[number] = answered.pop()
    for place, cell in enumerate(skeleton):
        if is_solution(cell) and cell.cell_type == "markdown" and place not in places:
            for number in [*_standing_at(place, places)]:
                if cells[number]["kind"] == "markdown" and cells[number]["source"].strip():
                    places[number] = place
    return places


def _standing_at(place: int, places: Sequence[int | None]) -> Iterator[int]:
    """Numbers of the cells without a place that stand between the neighbours of this one."""
    for number, taken in enumerate(places):
        if taken is None:
            before = max((p for p in places[:number] if p is not None), default=-1)
            behind = min((p for p in places[number:] if p is not None), default=place + 1)
            if before < place < behind:
                yield number


def _bound(source: str) -> set[str]:
    """Names that a cell binds where all cells see them; none of one that is no Python.

    IPython's magics count as what they stand for. Functions and classes bind their names, what is
    within them does not.
    """
    try:
        tree = ast.parse(TransformerManager().transform_cell(source))
        return set(_bound_by(tree.body))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()


def _bound_by(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, SCOPES):
            continue
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]
        else:
            yield from _bound_by(ast.iter_child_nodes(node))


def _answers(skeleton: Sequence[NotebookNode], places: Sequence[int | None]) -> dict[int, int]:
    """Place of a solution cell → number of the last submitted cell that counts as its answer.

    That is the last one before the exercise's check, or the last of all if none stands before it.
    """
    answers: dict[int, int] = {}
    for place, cell in enumerate(skeleton):
        if not is_solution(cell):
            continue
        tests = {
            i
            for i, other in enumerate(skeleton)
            if is_test(other) and exercise_name(other) == exercise_name(cell)
        }
        check = next((n for n, taken in enumerate(places) if taken in tests), len(places))
        numbers = [n for n, taken in enumerate(places) if taken == place]
        if numbers:
            answers[place] = max([n for n in numbers if n < check] or numbers)
    return answers
