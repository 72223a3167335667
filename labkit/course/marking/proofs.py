"""What the assignment contract promises, proved: `labkit assignments check`.

The exercises run in this process, without the long given cells
(:func:`labkit.course.exercises.cells.to_run`), with nbgrader's rule for a test cell: an exception
is 0 points, everything else all of them. That the same holds in nbgrader itself is a test.
"""

from __future__ import annotations

import builtins
import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from nbformat import NotebookNode

from labkit.core.errors import LabError
from labkit.course.exercises.cells import (
    Exercise,
    exercises,
    grading,
    is_solution,
    is_test,
    read,
    read_answers,
    to_run,
)
from labkit.course.marking.skeletons import SKELETONS, masters, skeletons

WRONG = "tests/wrong_solutions"
BEGIN, END = "BEGIN SOLUTION", "END SOLUTION"
MARKS = (BEGIN, END, "BEGIN HIDDEN TESTS", "END HIDDEN TESTS", "BEGIN MARK SCHEME")
SHORTEST_TELLTALE = 24
"""Characters: a shorter line of a solution (``return ids``) may stand elsewhere by chance."""

METADATA = {"nbgrader", "tags", "deletable", "editable"}


class Finding(NamedTuple):
    """One thing that was checked."""

    notebook: str
    what: str
    ok: bool
    problems: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """For the terminal: one line, and one for each problem."""
        head = f"[{'ok' if self.ok else 'fail'}] {self.notebook}: {self.what}"
        return [head, *(f"       {problem}" for problem in self.problems)]


def check(
    root: Path, on_progress: Callable[[str], None] | None = None, run: bool = True
) -> Iterator[Finding]:
    """What the assignment contract promises, notebook by notebook.

    Args:
        root: the course's folder.
        run: also run skeletons, masters and wrong solutions.
    """
    current = skeletons(root)
    yield _finding("assignments/", "is what the masters give", _stale(root, current))
    for path in masters(root):
        if on_progress is not None:
            on_progress(path.stem)
        master = read(path)
        skeleton = nbformat.reads(current[path.name], as_version=4)
        yield _finding(path.stem, "no solution text is left", leaks(master, skeleton))
        if not run:
            continue
        course = Runner(master)
        yield _finding(path.stem, "the untouched skeleton earns 0", _earning(course, skeleton))
        yield _finding(path.stem, "the master earns full marks", _lost(course))
        answers = read_answers(root / WRONG / path.stem)
        what = f"each of {sum(map(len, answers.values()))} wrong solutions fails with its own hint"
        yield _finding(path.stem, what, wrong_hints(course, answers))


def _finding(notebook: str, what: str, problems: list[str]) -> Finding:
    return Finding(notebook, what, not problems, tuple(problems))


def _stale(root: Path, current: dict[str, str]) -> list[str]:
    committed = {p.name: p.read_text("utf-8") for p in (root / SKELETONS).glob("*.ipynb")}
    names = sorted({*current, *committed})
    stale = [name for name in names if committed.get(name) != current.get(name)]
    return [f"{name}: not current; `labkit assignments build`" for name in stale]


def leaks(master: NotebookNode, skeleton: NotebookNode) -> list[str]:
    """What of the master's solutions can still be read in a skeleton, wherever it hides.

    Every string of the file is looked through, keys included, so that an output, an attachment or
    a folded cell is no hiding place; besides, a skeleton may have none of those.
    """
    left = []
    for cell in skeleton.cells:
        if cell.get("outputs") or cell.get("execution_count") or cell.get("attachments"):
            left.append(f"cell {cell.id}: outputs or attachments are left")
        if extra := set(cell.metadata) - METADATA:
            left.append(f"cell {cell.id}: metadata {sorted(extra)}")
    texts = [_squeezed(text) for text in _strings(skeleton)]
    telltales = [*MARKS, *(line for cell in master.cells for line in solution_lines(cell))]
    for line in telltales:
        if any(_squeezed(line) in text for text in texts):
            left.append(f"{line.strip()!r} is left")
    return left


def solution_lines(cell: NotebookNode) -> list[str]:
    """Lines of a cell that no skeleton may hold: solutions, hidden tests, written answers."""
    if cell.cell_type == "markdown" and is_solution(cell):
        lines = cell.source.splitlines()
        return [part for line in lines for part in line.split(". ") if _is_telltale(part)]
    lines, secret = [], is_solution(cell) and BEGIN not in cell.source
    for line in cell.source.splitlines():
        if any(mark in line for mark in MARKS):
            secret = "BEGIN" in line
        elif secret and _is_telltale(line):
            lines.append(line)
    return lines


def _is_telltale(line: str) -> bool:
    return len(_squeezed(line)) >= SHORTEST_TELLTALE


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)


# ---- running exercises ----


class Runner:
    """Runs a notebook's exercises with other answers in the place of its solutions.

    What an exercise needs from the cells before it, given ones and the master's earlier exercises,
    runs once.
    """

    def __init__(self, master: NotebookNode) -> None:
        cells = master.cells
        self.exercises = {exercise.name: exercise for exercise in exercises(master)}
        self.sources = to_run(cells)
        self._tests = {i for i, cell in enumerate(cells) if is_test(cell)}
        self._places = {
            exercise.name: (_place(cells, exercise.solution), _place(cells, exercise.tests[-1]))
            for exercise in self.exercises.values()
        }
        self._namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}
        self._done = 0
        self._before: dict[str, dict[str, Any]] = {}

    def try_answer(self, exercise: Exercise, answer: str, tests: list[str]) -> list[str | None]:
        """What each of the test cells' sources says against an answer; None: it is passed.

        An answer that can't be run fails every test, as it would in a notebook.
        """
        namespace = dict(self._names_before(exercise))
        failed = _run(answer, namespace)
        start, end = self._places[exercise.name]
        for i in range(start + 1, end):
            if i in self.sources and i not in self._tests:
                failed = _run(self.sources[i], namespace) or failed
        return [_run(test, namespace) or failed for test in tests]

    def _names_before(self, exercise: Exercise) -> dict[str, Any]:
        if exercise.name not in self._before:
            start, _ = self._places[exercise.name]
            for i in range(self._done, start):
                error = _run(self.sources[i], self._namespace) if i in self.sources else None
                if error:
                    raise LabError(f"a cell before {exercise.name} fails: {error}")
            self._done = start
            self._before[exercise.name] = dict(self._namespace)
        return self._before[exercise.name]


def _place(cells: list[NotebookNode], wanted: NotebookNode) -> int:
    return next(i for i, cell in enumerate(cells) if cell is wanted)


def _run(source: str, namespace: dict[str, Any]) -> str | None:
    """What a cell would show as its error, or None; what it prints is not looked at."""
    nowhere = io.StringIO()
    with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        try:
            exec(compile(source, "<cell>", "exec"), namespace)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return None


def _sources(notebook: NotebookNode) -> dict[str, str]:
    return {grading(c)["grade_id"]: c.source for c in notebook.cells if grading(c).get("grade_id")}


def visible(test: NotebookNode) -> str:
    """A test cell's source without its hidden tests."""
    lines, hidden = [], False
    for line in test.source.splitlines():
        hidden = (hidden or "BEGIN HIDDEN TESTS" in line) and "END HIDDEN TESTS" not in line
        if not hidden and "END HIDDEN TESTS" not in line:
            lines.append(line)
    return "\n".join(lines)


def _earning(course: Runner, skeleton: NotebookNode) -> list[str]:
    """Exercises of an untouched skeleton that earn something."""
    stubs = _sources(skeleton)
    earning = []
    for exercise in course.exercises.values():
        stub = stubs[grading(exercise.solution)["grade_id"]]
        for test in exercise.tests:
            if course.try_answer(exercise, stub, [visible(test)]) == [None]:
                earning.append(f"{exercise.name}: the stub passes {grading(test)['grade_id']}")
    return earning


def _lost(course: Runner) -> list[str]:
    """Tests that the master's own solution does not pass."""
    lost = []
    for exercise in course.exercises.values():
        tests = [test.source for test in exercise.tests]
        errors = course.try_answer(exercise, exercise.solution.source, tests)
        lost += [f"{exercise.name}: {error}" for error in errors if error]
    return lost


def wrong_hints(course: Runner, answers: dict[str, dict[str, str]]) -> list[str]:
    """Wrong solutions that pass, or that fail with another hint than the one in their first line.

    Also names exercises with fewer than three of them, and mistakes that share a hint.
    """
    faults = []
    for exercise in course.exercises.values():
        mistakes = answers.get(exercise.name, {})
        if len(mistakes) < 3:
            faults.append(f"{exercise.name}: {len(mistakes)} wrong solutions, expected at least 3")
        hints = [expected_hint(source) for source in mistakes.values()]
        if len(set(hints)) < len(hints):
            faults.append(f"{exercise.name}: two mistakes share a hint")
        for name, source in mistakes.items():
            tests = [visible(test) for test in exercise.tests]
            errors = [error for error in course.try_answer(exercise, source, tests) if error]
            matching = [h for h in hints if any(h in error for error in errors)]
            if matching != [expected_hint(source)]:
                seen = errors[0] if errors else "it passes"
                faults.append(f"{exercise.name}/{name}: expected {expected_hint(source)!r}, {seen}")
    unknown = sorted(set(answers) - set(course.exercises))
    return faults + [f"wrong solutions for {name}, which is no exercise" for name in unknown]


def expected_hint(source: str) -> str:
    """``# hint: …`` on the first line of a wrong solution."""
    mark, _, hint = source.partition("\n")[0].partition(":")
    if mark != "# hint" or not hint.strip():
        raise LabError("a wrong solution begins with the line `# hint: ` and words of its hint")
    return hint.strip()
