"""Marks, and the tables of them: ``marks.csv`` for a spreadsheet, ``marks.md`` to read."""

from __future__ import annotations

import csv
import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from labkit.course.marking.collecting import Aside
from labkit.course.marking.predicted import Predicted

MARKED, BY_HAND, NOT_MARKED = "marked", "by hand", "not marked"
WHOLE_NOTEBOOK = "all"


class Mark(NamedTuple):
    """One row: an exercise of a student, or a whole notebook that could not be marked at all."""

    student: str
    notebook: str
    exercise: str
    """``all`` in the row of a notebook that could not be marked."""

    points: float | None
    """None: there are none yet, for the reason that ``state`` gives."""

    of: float
    state: str
    """``marked``, ``by hand`` (a person has to mark it) or ``not marked`` (it could not be)."""

    note: str
    """The hint that the check gave, or why there is no mark."""


@dataclass(frozen=True)
class Report:
    """All marks of one run, and what happened to files that could not be marked."""

    marks: tuple[Mark, ...]
    isolated: bool
    aside: tuple[Aside, ...] = ()
    """Files that were handed in and not marked."""

    predicted: Mapping[tuple[str, str], Predicted] = field(default_factory=dict)
    """Student and notebook → what was predicted in it; for nobody's points."""

    def totals(self) -> dict[str, tuple[float, float, int]]:
        """Student → points so far, all points, exercises that are still to be marked by hand."""
        totals: dict[str, tuple[float, float, int]] = {}
        for mark in self.marks:
            points, most, by_hand = totals.get(mark.student, (0.0, 0.0, 0))
            by_hand += mark.state == BY_HAND
            totals[mark.student] = points + (mark.points or 0.0), most + mark.of, by_hand
        return totals

    def predictions(self, student: str) -> str:
        """What a student predicted in all notebooks; empty where nothing was asked."""
        of_student = (
            predicted for (whose, _), predicted in self.predicted.items() if whose == student
        )
        return str(Predicted.total(of_student))

    def not_marked(self) -> tuple[Mark, ...]:
        """Notebooks, and exercises of others, that could not be marked."""
        return tuple(mark for mark in self.marks if mark.state == NOT_MARKED)

    def lines(self) -> list[str]:
        """For the terminal."""
        lines = []
        for student, (points, most, by_hand) in self.totals().items():
            waiting = f", {by_hand} to mark by hand" if by_hand else ""
            failed = dict.fromkeys(m.notebook for m in self.not_marked() if m.student == student)
            lines.append(f"{student}: {points:g} of {most:g}{waiting}{_could_not(failed)}")
        lines += [f"left aside: {left.file}: {left.why}" for left in self.aside]
        if not self.isolated:
            lines.append("not isolated: nothing can be shut in here; see docs/instructor.md")
        return lines


def _could_not(notebooks: Iterable[str]) -> str:
    return f"; could not be marked: {', '.join(notebooks)}" if notebooks else ""


def as_csv(report: Report) -> str:
    """One row for each student and exercise, for a spreadsheet.

    The last column says of the row's whole notebook what the student predicted in it.
    """
    lines: list[str] = []

    class Writer:
        write = staticmethod(lines.append)

    table = csv.writer(Writer)
    table.writerow([*Mark._fields, "predictions"])
    for mark in report.marks:
        points = "" if mark.points is None else f"{mark.points:g}"
        names = map(_plain, (mark.student, mark.notebook, mark.exercise))
        predicted = report.predicted.get((mark.student, mark.notebook), "")
        table.writerow([*names, points, f"{mark.of:g}", mark.state, _plain(mark.note), predicted])
    return "".join(lines)


def _plain(text: str) -> str:
    """One line that no spreadsheet takes for a formula."""
    line = " ".join(text.split())
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line


def as_markdown(report: Report) -> str:
    """The totals, and below them each student's exercises with the hints."""
    doors = (
        "each submission ran without network, and saw Python, labkit, the models and the data, "
        "read-only, and nothing else"
        if report.isolated
        else "**not isolated**: this system can't shut a process in, see docs/instructor.md"
    )
    lines = ["# Marks", "", f"Checks: {doors}.", ""]
    if failed := report.not_marked():
        lines += ["## Could not be marked", "", *_table(("student", "notebook", "exercise", "why"))]
        lines += [_row((m.student, m.notebook, m.exercise, m.note)) for m in failed]
        lines += ["", "They have no points yet, which is not 0 points.", ""]
    lines += _table(("student", "points", "of", "to mark by hand", "predictions"))
    for student, (points, most, by_hand) in report.totals().items():
        predicted = report.predictions(student)
        lines.append(_row((student, f"{points:g}", f"{most:g}", str(by_hand), predicted)))
    if report.aside:
        lines += ["", "## Left aside", "", *_table(("student", "file", "why"))]
        lines += [_row(left) for left in report.aside]
    for student, marks in _by_student(report.marks):
        lines += ["", f"## {_cell_text(student)}", ""]
        lines += _table(("notebook", "exercise", "points", "of", ""))
        for mark in marks:
            points = "–" if mark.points is None else f"{mark.points:g}"
            lines.append(_row((mark.notebook, mark.exercise, points, f"{mark.of:g}", mark.note)))
    return "\n".join(lines) + "\n"


def _by_student(marks: Sequence[Mark]) -> Iterator[tuple[str, list[Mark]]]:
    for student in dict.fromkeys(mark.student for mark in marks):
        yield student, [mark for mark in marks if mark.student == student]


def _table(head: Sequence[str]) -> list[str]:
    return [_row(head), "|" + "---|" * len(head)]


def _row(words: Sequence[str]) -> str:
    return f"| {' | '.join(map(_cell_text, words))} |"


def _cell_text(text: str) -> str:
    """Text that ends no table cell and is no markup, whatever a student wrote."""
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", html.escape(" ".join(text.split()), quote=False))
