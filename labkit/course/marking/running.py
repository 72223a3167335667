"""Running a restored notebook behind closed doors, so that nbgrader can count its points.

First without the long given cells (:data:`labkit.course.exercises.cells.SKIPPABLE`). Where that
fails an exercise and a student's own code may have wanted what was skipped, everything runs from
top to bottom, and each exercise keeps the better of its two outcomes: what passes in a notebook
that is run whole is never lost to the shortcut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from labkit.course.exercises.cells import (
    ADDED,
    EDITED,
    is_given,
    is_skippable,
    is_solution,
    is_test,
    to_run,
)
from labkit.course.marking.sandbox import Cell, Limits, Result, run_cells

LONGEST_HINT = 500
ENDED = ("TimeoutError", "KernelDied")
"""What the sandbox reports of a cell that it had to end, or that ended its process."""

UNRUN, UNMARKED = "NotRun", "NotMarked"
"""A cell that was not reached; a check that fails for want of what a given cell should have made,
which is nobody's mistake."""

PLAIN = ("AssertionError", "CheckFailed", UNRUN, UNMARKED, *ENDED)
"""Errors whose message speaks for itself."""

Results = Mapping[int, Result]


def execute(notebook: NotebookNode, hidden: Sequence[Path], limits: Limits) -> None:
    """Run a restored notebook, and put its outputs into it.

    A test cell's outputs end in an error or hold nothing that counts: what a student's function
    prints on standard error, a warning for instance, costs no mark.
    """
    results = _run(notebook, hidden, limits, skipping=True)
    if _may_want_more(notebook, results):
        whole = _run(notebook, hidden, limits, skipping=False)
        results = _better(notebook.cells, results, whole)
    results = _with_causes(notebook.cells, results)
    for index, (outputs, error) in results.items():
        cell = notebook.cells[index]
        if is_test(cell):
            outputs = [output for output in outputs if output.get("name") != "stderr"]
        if error:
            outputs = [*outputs, {"output_type": "error", **error}]
        cell.outputs = [nbformat.from_dict(output) for output in outputs]


def _run(
    notebook: NotebookNode, hidden: Sequence[Path], limits: Limits, *, skipping: bool
) -> Results:
    sources = to_run(notebook.cells, skipping=skipping)
    cells = [
        Cell(i, source, is_test(notebook.cells[i]), is_given(notebook.cells[i]))
        for i, source in sources.items()
    ]
    results = run_cells(cells, limits, hidden)
    unrun = {"ename": UNRUN, "evalue": _why_unrun(results), "traceback": []}
    return {cell.index: results.get(cell.index, Result([], unrun)) for cell in cells}


def _why_unrun(results: Results) -> str:
    deaths = [result.error["evalue"] for result in results.values() if result.error]
    last = f" ({deaths[-1]})" if deaths else ""
    return f"not reached: the notebook was ended before{last}"


def _may_want_more(notebook: NotebookNode, results: Results) -> bool:
    """Whether an exercise failed for which a skipped cell may have had something."""
    cells = notebook.cells
    if not any(map(is_skippable, cells)):
        return False
    if all(result.error is None for i, result in results.items() if is_test(cells[i])):
        return False
    added = any(cell.metadata.get(ADDED) or cell.metadata.get(EDITED) for cell in cells)
    return added or any("NameError" in _words(r.error) for r in results.values() if r.error)


def _better(cells: Sequence[NotebookNode], quick: Results, whole: Results) -> Results:
    """The whole run's outcome, but for checks that passed without it."""
    passed = {i for i, result in quick.items() if is_test(cells[i]) and result.error is None}
    return {**whole, **{index: quick[index] for index in passed}}


def _with_causes(cells: Sequence[NotebookNode], results: Results) -> Results:
    """A missing name, and a cell not reached, are put down to the cell before that was ended.

    If that is a given cell, the check is not failed but could not be run.
    """
    explained, cause, given = dict(results), "", False
    for index in sorted(results):
        cell, error = cells[index], results[index].error
        if error is None:
            continue
        if not is_test(cell) and not is_solution(cell) and error["ename"] in ENDED and not cause:
            line, given = cell.source.strip().partition("\n")[0], is_given(cell)
            cause = f"the cell before that begins with “{line}” was ended: {error['evalue']}"
        elif cause and ("NameError" in _words(error) or error["ename"] in (UNRUN, *ENDED)):
            new = {"evalue": f"{error['evalue']} ({cause})"}
            if given:
                new["ename"] = UNMARKED
            explained[index] = results[index]._replace(error={**error, **new})
    return explained


def _words(error: Mapping[str, str]) -> str:
    return f"{error['ename']} {error['evalue']}"


def is_unmarked(cell: NotebookNode) -> bool:
    """Whether a check could not be run, for a reason that is not the student's."""
    return any(output.get("ename") == UNMARKED for output in cell.get("outputs", []))


def hint(cell: NotebookNode) -> str:
    """The error in a cell's output: the message alone of an assertion, else with its name."""
    for output in cell.get("outputs", []):
        if output.output_type == "error":
            name = "" if output.ename in PLAIN and output.evalue else f"{output.ename}: "
            return f"{name}{output.evalue}".strip()[:LONGEST_HINT]
    return ""
