"""Marks: `labkit grade FOLDER` over a folder of submissions, one folder for each student.

nbgrader marks; what is here keeps one submission from costing the others anything:

1. a submitted file is read as data, and only the student's own text is taken from it: solution
   cells by their ids, given cells that were edited, cells that were added. Everything else comes
   from the skeleton, so deleted, doubled or edited tests change nothing (:func:`restored`);
2. nbgrader's autograder puts the masters' tests with their hidden parts in place, and keeps the
   marks in its gradebook;
3. in the place of its executor stands :class:`_Execute`: the lines that the exercises need, in a
   kernel of its own behind closed doors (:mod:`labkit.course.marking.sandbox`).

The folder of results is a complete nbgrader course (``nbgrader formgrader`` for the free texts,
``nbgrader generate_feedback``), with ``marks.csv`` and ``marks.md`` beside it.
"""

from __future__ import annotations

import csv
import html
import json
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from nbformat import NotebookNode, v4

from labkit.core.errors import LabError
from labkit.course.exercises.cells import (
    exercise_name,
    grading,
    is_by_hand,
    is_solution,
    is_test,
    needed_lines,
    read,
)
from labkit.course.marking import skeletons as assignments
from labkit.course.marking.sandbox import Cell, Limits, Result, isolates, run_cells

LARGEST_FILE, MOST_CELLS, MOST_CODE = 50 << 20, 1000, 1 << 20
LONGEST_HINT = 500
ASSIGNMENT = assignments.ASSIGNMENT
CONFIGURATION = f"""c = get_config()
c.CourseDirectory.course_id = {assignments.COURSE!r}
"""


class Mark(NamedTuple):
    """One row: an exercise of a student."""

    student: str
    notebook: str
    exercise: str
    points: float | None
    """None: a person has to mark it."""

    of: float
    note: str
    """The hint that the check gave, or why there is no mark."""


@dataclass(frozen=True)
class Report:
    """All marks of one run, and what happened to files that could not be marked."""

    marks: tuple[Mark, ...]
    isolated: bool

    def totals(self) -> dict[str, tuple[float, float, int]]:
        """Student → points so far, all points, exercises that are still to be marked by hand."""
        found: dict[str, tuple[float, float, int]] = {}
        for mark in self.marks:
            points, most, by_hand = found.get(mark.student, (0.0, 0.0, 0))
            by_hand += mark.points is None
            found[mark.student] = points + (mark.points or 0.0), most + mark.of, by_hand
        return found


def grade(
    folder: Path,
    root: Path,
    out: Path,
    limits: Limits | None = None,
    on_progress: Callable[[int, int, str], None] | None = None,
    *,
    not_isolated: bool = False,
) -> Report:
    """Mark every submission in a folder.

    Args:
        folder: ``<student>/<notebook>.ipynb``, or nbgrader's ``<student>/<assignment>/…``.
        root: the course's folder, for the masters.
        out: for the gradebook, the executed notebooks and the tables; made here, or one of ours.
        not_isolated: mark where submissions can't be shut in, too, with this user's rights.

    Raises:
        LabError: if there are no submissions, or ``out`` holds something else, or the masters have
            changed since it was made; on Windows; where nothing can be shut in, if that was not
            accepted; or if no kernel starts.
    """
    if sys.platform == "win32":
        raise LabError("marking needs Linux (or macOS, --not-isolated); on Windows use WSL")
    students = submissions(folder)
    if not (isolates() or not_isolated):
        raise LabError(
            "this system can't shut a submission in: it would run with your rights, to read, "
            "delete and end whatever you can; mark on Linux, in WSL or in a virtual machine, or "
            "say --not-isolated for people you trust (docs/instructor.md)"
        )
    masters = {path.stem: path for path in assignments.masters(root)}
    course = _Course(out, root, masters, [folder, out, *_secret(root)], limits or Limits())
    marks: list[Mark] = []
    for done, (student, files) in enumerate(students.items()):
        if on_progress is not None:
            on_progress(done, len(students), student)
        marks += course.mark(student, files)
    report = Report(tuple(marks), isolates())
    (out / "marks.csv").write_text(as_csv(report), encoding="utf-8", newline="")
    (out / "marks.md").write_text(as_markdown(report), encoding="utf-8")
    return report


def _secret(root: Path) -> list[Path]:
    """Folders with solutions in them."""
    return [root / name for name in (assignments.MASTERS, "tests", ".git")]


# ---- what was handed in ----


def submissions(folder: Path) -> dict[str, dict[str, Path]]:
    """Student → stem of a notebook → file; links are no files here.

    Raises:
        LabError: if there is no folder, or no student in it.
    """
    if not folder.is_dir():
        raise LabError(f"{folder} is not a folder; give the one with a folder for each student")
    students = {
        path.name: {
            file.stem: file
            for file in sorted([*path.glob("*/*.ipynb"), *path.glob("*.ipynb")])
            if not file.is_symlink() and not file.parent.is_symlink()
        }
        for path in sorted(folder.iterdir())
        if path.is_dir() and not path.is_symlink() and not path.name.startswith(".")
    }
    if not students:
        raise LabError(f"{folder} holds no folders; there should be one for each student")
    return students


class Unreadable(Exception):
    """Why a submitted file can't be marked at all."""


def submitted_cells(file: Path) -> list[dict[str, Any]]:
    """The cells of a submitted notebook: ``kind``, ``id``, ``grade_id``, ``source``.

    Nothing of the file is trusted: no kernel name, no output, no metadata but ids.

    Raises:
        Unreadable: with a reason for the student.
    """
    if not file.is_file():
        raise Unreadable("this is not a file")
    if file.stat().st_size > LARGEST_FILE:
        raise Unreadable(f"the file is larger than {LARGEST_FILE >> 20} MB: clear its outputs")
    try:
        content = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise Unreadable(f"this is no notebook: {type(error).__name__}") from error
    cells = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(cells, list):
        raise Unreadable("this is no notebook of format 4: it has no list of cells")
    if len(cells) > MOST_CELLS:
        raise Unreadable(f"{len(cells)} cells are too many")
    found = [_cell(cell) for cell in cells if isinstance(cell, dict)]
    if sum(len(cell["source"]) for cell in found) > MOST_CODE:
        raise Unreadable("the text of its cells is larger than 1 MB")
    return found


def _cell(cell: dict) -> dict[str, Any]:
    source = cell.get("source", "")
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    metadata = cell.get("metadata")
    marking = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    name = marking.get("grade_id") if isinstance(marking, dict) else None
    return {
        "kind": cell.get("cell_type"),
        "id": cell.get("id"),
        "grade_id": name if isinstance(name, str) else None,
        # half a surrogate pair can be written in JSON and in no file
        "source": source.encode("utf-8", "replace").decode() if isinstance(source, str) else "",
    }


def restored(skeleton: NotebookNode, cells: Sequence[Mapping[str, Any]]) -> NotebookNode:
    """The skeleton with a student's own text in it.

    Solution cells are found by their grade_id or id, the last of several counts. Given cells that
    were edited keep the edit; test cells never do. Added code cells stand behind the cell of the
    skeleton that they followed.
    """
    names = {grading(cell)["grade_id"]: i for i, cell in enumerate(skeleton.cells) if grading(cell)}
    ids = {cell.id: i for i, cell in enumerate(skeleton.cells)}
    written: dict[int, str] = {}
    added: dict[int, list[str]] = {}
    place = -1
    for cell in cells:
        found = names.get(cell["grade_id"])
        if found is None and isinstance(cell["id"], str):
            found = ids.get(cell["id"])
        if found is not None:
            place = found
            if not is_test(skeleton.cells[found]):
                written[found] = cell["source"]
        elif cell["kind"] == "code" and cell["source"].strip():
            added.setdefault(place, []).append(cell["source"])
    result: list[NotebookNode] = [_added(source) for source in added.get(-1, [])]
    for i, original in enumerate(skeleton.cells):
        cell = original.copy()
        cell["source"] = written.get(i, original.source)
        result += [cell, *(_added(source) for source in added.get(i, []))]
    for number, cell in enumerate(c for c in result if c.metadata.get(ADDED)):
        cell["id"] = f"added-{number}"
    return v4.new_notebook(cells=result, metadata=skeleton.metadata)


ADDED = "added"


def _added(source: str) -> NotebookNode:
    return v4.new_code_cell(source, metadata={ADDED: True})


# ---- running and marking ----


class _Course:
    """An nbgrader course in the folder of results."""

    def __init__(
        self,
        out: Path,
        root: Path,
        masters: Mapping[str, Path],
        hidden: Sequence[Path],
        limits: Limits,
    ) -> None:
        self.out, self.hidden, self.limits = out, hidden, limits
        self.masters = {stem: read(path) for stem, path in masters.items()}
        source = out / "source" / ASSIGNMENT
        if source.is_dir():
            self._check_same(source, masters)
        elif out.exists() and any(out.iterdir()):
            raise LabError(f"--out {out} holds other files; choose a folder of the marks' own")
        else:
            out.mkdir(parents=True, exist_ok=True)
            assignments.generate(out, list(masters.values()))
            (out / "nbgrader_config.py").write_text(CONFIGURATION, encoding="utf-8")
        texts = assignments.skeletons(root)
        self.skeletons = {
            stem: nbformat.reads(texts[path.name], as_version=4) for stem, path in masters.items()
        }

    @staticmethod
    def _check_same(source: Path, masters: Mapping[str, Path]) -> None:
        for stem, path in masters.items():
            old = source / f"{stem}.ipynb"
            if not old.is_file() or old.read_bytes() != path.read_bytes():
                raise LabError(
                    f"{path.name} has changed since {source.parent.parent} was made; choose "
                    "another --out"
                )

    def mark(self, student: str, files: Mapping[str, Path]) -> list[Mark]:
        """Every exercise of every notebook of one student."""
        if not re.fullmatch(r"[\w.@ -]+", student):
            why = (
                "the folder's name holds other characters than letters, digits, spaces and . @ _ -"
            )
            return self._unmarked(student, dict.fromkeys(self.masters, why))
        submitted = self.out / "submitted" / student / ASSIGNMENT
        submitted.mkdir(parents=True, exist_ok=True)
        notes: dict[str, str] = {}
        for stem, skeleton in self.skeletons.items():
            target = submitted / f"{stem}.ipynb"
            target.unlink(missing_ok=True)
            try:
                if stem not in files:
                    raise Unreadable("nothing was handed in")
                nbformat.write(restored(skeleton, submitted_cells(files[stem])), target)
            except Unreadable as reason:
                notes[stem] = str(reason)
        if len(notes) == len(self.masters):  # nbgrader wants something to mark
            return self._unmarked(student, notes)
        try:
            self._autograde(student)
            marked = [self._marked(student, stem) for stem in self.masters if stem not in notes]
        except LabError:
            raise
        except Exception as error:  # whatever it is, the others get their marks
            why = f"nbgrader could not mark this: {type(error).__name__}: {error}"
            return self._unmarked(student, dict.fromkeys(self.masters, why) | notes)
        found = [*(mark for marks in marked for mark in marks), *self._unmarked(student, notes)]
        return sorted(found, key=lambda mark: mark.notebook)

    def _autograde(self, student: str) -> None:
        from nbgrader.converters import Autograde
        from sqlalchemy.exc import SAWarning

        api = assignments.nbgrader_api(self.out)
        api.coursedir.assignment_id, api.coursedir.student_id = ASSIGNMENT, student
        execute = _executor(self.hidden, self.limits)
        steps = [
            execute if step.__name__ == "Execute" else step
            for step in Autograde.autograde_preprocessors.default()
        ]
        grader = Autograde(coursedir=api.coursedir, parent=api, autograde_preprocessors=steps)
        grader.force = True
        grader.log.setLevel("CRITICAL")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)  # about nbgrader's own queries
            grader.start()

    def _marked(self, student: str, stem: str) -> list[Mark]:
        from nbgrader.api import Gradebook

        done = read(self.out / "autograded" / student / ASSIGNMENT / f"{stem}.ipynb")
        with Gradebook(f"sqlite:///{self.out / 'gradebook.db'}", assignments.COURSE) as book:
            rows = book.find_submission_notebook(stem, ASSIGNMENT, student).grades
            scores = {row.name: None if row.needs_manual_grade else row.score for row in rows}
        marks, failure = [], ""
        for cell in done.cells:
            if is_solution(cell) and cell.cell_type == "code":
                failure = _error(cell)
            if not grading(cell).get("grade"):
                continue
            points = scores[grading(cell)["grade_id"]]
            note = "marked by hand" if points is None else ""
            if is_test(cell) and not points:
                note = failure or _error(cell)
            if is_by_hand(cell) and points == 0:
                note = "no answer"
            exercise = exercise_name(cell)
            marks.append(Mark(student, stem, exercise, points, grading(cell)["points"], note))
        return marks

    def _unmarked(self, student: str, notes: Mapping[str, str]) -> list[Mark]:
        """Nothing for the notebooks in ``notes``, which say why."""
        return [
            Mark(student, stem, exercise_name(cell), 0.0, grading(cell)["points"], why)
            for stem, why in notes.items()
            for cell in self.masters[stem].cells
            if grading(cell).get("grade")
        ]


def _executor(hidden: Sequence[Path], limits: Limits) -> type:
    from nbgrader.preprocessors import NbGraderPreprocessor

    class Execute(NbGraderPreprocessor):
        """Runs what the exercises need; see :func:`execute`."""

        def preprocess(self, notebook: NotebookNode, resources: dict) -> tuple:
            execute(notebook, hidden, limits)
            return notebook, resources

    return Execute


def execute(notebook: NotebookNode, hidden: Sequence[Path], limits: Limits) -> None:
    """Run a restored notebook's exercises, and what they need of its other cells.

    A test cell's outputs end in an error or hold nothing that counts: what a student's function
    prints on standard error, a warning for instance, costs no mark.
    """
    exercises = {i for i, c in enumerate(notebook.cells) if is_solution(c) or is_test(c)}
    lines = needed_lines(notebook.cells, exercises)
    cells = [Cell(i, source, is_test(notebook.cells[i])) for i, source in lines.items()]
    results = run_cells(cells, limits, hidden)
    unrun = {"ename": "NotRun", "evalue": _why_unrun(results), "traceback": []}
    for cell in cells:
        outputs, error = results.get(cell.index, Result([], unrun))
        if cell.test:
            outputs = [output for output in outputs if output.get("name") != "stderr"]
        if error:
            outputs = [*outputs, {"output_type": "error", **error}]
        notebook.cells[cell.index].outputs = [nbformat.from_dict(output) for output in outputs]


def _why_unrun(results: Mapping[int, Result]) -> str:
    deaths = [r.error["evalue"] for r in results.values() if r.error]
    last = f" ({deaths[-1]})" if deaths else ""
    return f"not reached: the notebook was ended before{last}"


def _error(cell: NotebookNode) -> str:
    """The hint in a cell's output: the message alone of an assertion, else with its name."""
    for output in cell.get("outputs", []):
        if output.output_type == "error":
            known = ("AssertionError", "CheckFailed", "KernelDied", "NotRun", "TimeoutError")
            name = "" if output.ename in known and output.evalue else f"{output.ename}: "
            return f"{name}{output.evalue}".strip()[:LONGEST_HINT]
    return ""


# ---- tables ----


def as_csv(report: Report) -> str:
    """One row for each student and exercise, for a spreadsheet."""
    lines: list[str] = []

    class Writer:
        write = staticmethod(lines.append)

    table = csv.writer(Writer)
    table.writerow(Mark._fields)
    for mark in report.marks:
        points = "" if mark.points is None else f"{mark.points:g}"
        table.writerow([*map(_plain, mark[:3]), points, f"{mark.of:g}", _plain(mark.note)])
    return "".join(lines)


def _plain(text: str) -> str:
    """One line that no spreadsheet takes for a formula."""
    line = " ".join(text.split())
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line


def as_markdown(report: Report) -> str:
    """The totals, and below them each student's exercises with the hints."""
    doors = (
        "each submission ran without network, with a read-only view of the files and without sight "
        "of the masters"
        if report.isolated
        else "**not isolated**: this system can't shut a process in, see docs/instructor.md"
    )
    lines = ["# Marks", "", f"Checks: {doors}.", ""]
    lines += ["| student | points | of | to mark by hand |", "|---|---|---|---|"]
    for student, (points, most, by_hand) in report.totals().items():
        lines.append(f"| {_cell_text(student)} | {points:g} | {most:g} | {by_hand} |")
    for student, marks in _by_student(report.marks):
        lines += ["", f"## {_cell_text(student)}", ""]
        lines += ["| notebook | exercise | points | of | |", "|---|---|---|---|---|"]
        for mark in marks:
            points = "–" if mark.points is None else f"{mark.points:g}"
            words = (mark.notebook, mark.exercise, points, f"{mark.of:g}", mark.note)
            lines.append(f"| {' | '.join(map(_cell_text, words))} |")
    return "\n".join(lines) + "\n"


def _by_student(marks: Sequence[Mark]) -> Iterator[tuple[str, list[Mark]]]:
    for student in dict.fromkeys(mark.student for mark in marks):
        yield student, [mark for mark in marks if mark.student == student]


def _cell_text(text: str) -> str:
    """Text that ends no table cell and is no markup, whatever a student wrote."""
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", html.escape(" ".join(text.split()), quote=False))
