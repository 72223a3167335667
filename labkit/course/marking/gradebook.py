"""Marks: `labkit grade FOLDER` over a class's submissions.

nbgrader marks; what is around it keeps one submission from costing the others anything:

1. who handed in what is read off the folder (:mod:`labkit.course.marking.collecting`), and of each
   file only the student's own text is taken (:mod:`labkit.course.marking.submissions`);
2. nbgrader's autograder puts the masters' tests with their hidden parts in place, and keeps the
   marks in its gradebook;
3. in the place of its executor stands :mod:`labkit.course.marking.running`: the exercises, in a
   kernel of its own behind closed doors.

The folder of results is a complete nbgrader course (``nbgrader formgrader`` for the free texts,
``nbgrader generate_feedback``), with ``marks.csv`` and ``marks.md`` beside it.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sys
import tempfile
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from labkit.core.errors import LabError
from labkit.core.files import folder_aside, real, write_text
from labkit.course.exercises.cells import (
    exercise_name,
    grading,
    is_by_hand,
    is_solution,
    is_test,
    read,
)
from labkit.course.marking import marks as tables
from labkit.course.marking import running, skeletons
from labkit.course.marking.collecting import collect, recogniser
from labkit.course.marking.marks import BY_HAND, MARKED, NOT_MARKED, WHOLE_NOTEBOOK, Mark, Report
from labkit.course.marking.predicted import Predicted, predicted
from labkit.course.marking.sandbox import Limits, doors, isolates
from labkit.course.marking.submissions import Unreadable, restored, submitted_cells

ASSIGNMENT = skeletons.ASSIGNMENT
DATABASE, CONFIGURED = "gradebook.db", "nbgrader_config.py"
CONFIGURATION = f"""c = get_config()
c.CourseDirectory.course_id = {skeletons.COURSE!r}
"""
LONGEST_ID = 80

Progress = Callable[[int, int, str], None]


def grade(
    folder: Path,
    root: Path,
    out: Path,
    limits: Limits | None = None,
    on_progress: Progress | None = None,
    *,
    not_isolated: bool = False,
) -> Report:
    """Mark every submission in a folder.

    Args:
        folder: as :func:`labkit.course.marking.collecting.collect` reads it.
        root: the course's folder, for the masters.
        out: for the gradebook, the executed notebooks and the tables; made here, or one of ours.
        not_isolated: mark where submissions can't be shut in, too, with this user's rights.

    Raises:
        LabError: if there are no submissions, or ``out`` can't be written, holds something else or
            was made of other masters; on Windows; where nothing can be shut in, if that was not
            accepted; or if no kernel starts.
    """
    if sys.platform == "win32":
        raise LabError("marking needs Linux (or macOS, --not-isolated); on Windows use WSL")
    folder, root, out = real(folder), real(root), real(out)  # nbgrader moves about
    masters = {path.stem: path for path in skeletons.masters(root)}
    released = {
        Path(name).stem: nbformat.reads(text, as_version=4)
        for name, text in skeletons.skeletons(root).items()
    }
    checks = {stem: _check_sources(notebook) for stem, notebook in released.items()}
    with tempfile.TemporaryDirectory(prefix="labkit-unpacked-") as unpacked:
        handed_in = collect(folder, list(masters), recogniser(checks), Path(unpacked))
        if not (isolates() or not_isolated):
            raise LabError(
                f"{doors.why_open()}; a submission would run with your rights, to read, delete and "
                "end whatever you can; mark on Linux, in WSL or in a virtual machine, or say "
                "--not-isolated for people you trust (docs/instructor.md)"
            )
        with _writing(out), contextlib.chdir("."):
            hidden = [folder, out, Path(unpacked), *_secret(root)]
            course = _Course(out, masters, released, hidden, limits or Limits())
            marks: list[Mark] = []
            for done, (student, files) in enumerate(handed_in.students.items()):
                if on_progress is not None:
                    on_progress(done, len(handed_in.students), student)
                marks += course.mark(student, files)
            aside = tuple(handed_in.aside)
            report = Report(tuple(marks), isolates(), aside, course.predicted)
            write_text(out / "marks.csv", tables.as_csv(report))
            write_text(out / "marks.md", tables.as_markdown(report))
    return report


def _check_sources(skeleton: NotebookNode) -> set[str]:
    return {cell.source for cell in skeleton.cells if is_test(cell)}


def _secret(root: Path) -> list[Path]:
    """Folders with solutions in them."""
    return [root / name for name in (skeletons.MASTERS, "tests", "build", ".git")]


@contextlib.contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or out
        raise LabError(f"--out {out} can't be written: {error.strerror} ({where})") from error


def gradebook_id(student: str) -> str:
    """The name under which nbgrader keeps a student: one that is no pattern and leads nowhere.

    A name of letters, digits, spaces and ``. @ _ -`` is its own.
    """
    name = unicodedata.normalize("NFC", student)
    if re.fullmatch(rf"[\w@][\w.@ -]{{,{LONGEST_ID}}}", name):
        return name
    plain = re.sub(r"[^\w.@ -]", "_", name)[:LONGEST_ID]
    return f"s {plain} {hashlib.sha256(name.encode()).hexdigest()[:8]}"


class _Course:
    """An nbgrader course in the folder of results."""

    def __init__(
        self,
        out: Path,
        masters: Mapping[str, Path],
        released: Mapping[str, NotebookNode],
        hidden: Sequence[Path],
        limits: Limits,
    ) -> None:
        self.out, self.hidden, self.limits = out, hidden, limits
        self.masters = {stem: read(path) for stem, path in masters.items()}
        self.skeletons = released
        self.predicted: dict[tuple[str, str], Predicted] = {}
        if (out / "source" / ASSIGNMENT).is_dir() and (out / DATABASE).is_file():
            self._check_same(masters)
            (out / f".{CONFIGURED}").touch()  # so that what can't be written is known at once
            (out / f".{CONFIGURED}").unlink()
        elif out.exists() and any(out.iterdir()):
            raise LabError(f"--out {out} holds other files; choose a folder of the marks' own")
        else:
            self._make(list(masters.values()))

    def _make(self, masters: Sequence[Path]) -> None:
        """The course is made beside its place and moved there whole, or not at all."""
        with folder_aside(self.out) as course:
            skeletons.generate(course, list(masters))
            (course / CONFIGURED).write_text(CONFIGURATION, encoding="utf-8")

    def _check_same(self, masters: Mapping[str, Path]) -> None:
        for stem, path in masters.items():
            old = self.out / "source" / ASSIGNMENT / f"{stem}.ipynb"
            if not old.is_file() or old.read_bytes() != path.read_bytes():
                raise LabError(
                    f"{path.name} has changed since {self.out} was made; choose another --out"
                )

    def mark(self, student: str, files: Mapping[str, Path]) -> list[Mark]:
        """Every exercise of every notebook of one student."""
        marks = []
        for stem in self.masters:
            (self._submitted(student) / f"{stem}.ipynb").unlink(missing_ok=True)
            try:
                if stem not in files:
                    marks += self._none(student, stem, "nothing was handed in")
                    continue
                cells = submitted_cells(files[stem])
                self.predicted[student, stem] = predicted(cells, self.masters[stem])
                self._submit(student, stem, cells)
                self._autograde(student, stem)
                marks += self._marked(student, stem)
            except Unreadable as reason:
                marks.append(self._not_marked(student, stem, str(reason)))
            except LabError:
                raise
            except Exception as error:  # whatever it is, the others get their marks
                why = f"nbgrader could not mark this: {type(error).__name__}: {error}"
                marks.append(self._not_marked(student, stem, why))
        return marks

    def _submitted(self, student: str) -> Path:
        return self.out / "submitted" / gradebook_id(student) / ASSIGNMENT

    def _submit(self, student: str, stem: str, cells: Sequence[Mapping]) -> None:
        folder = self._submitted(student)
        folder.mkdir(parents=True, exist_ok=True)
        nbformat.write(restored(self.skeletons[stem], cells), folder / f"{stem}.ipynb")

    def _autograde(self, student: str, stem: str) -> None:
        from nbgrader.converters import Autograde
        from sqlalchemy.exc import SAWarning

        api = skeletons.nbgrader_api(self.out)
        api.coursedir.assignment_id, api.coursedir.student_id = ASSIGNMENT, gradebook_id(student)
        api.coursedir.notebook_id = stem
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

        name = gradebook_id(student)
        done = read(self.out / "autograded" / name / ASSIGNMENT / f"{stem}.ipynb")
        with Gradebook(f"sqlite:///{self.out / DATABASE}", skeletons.COURSE) as book:
            if name != student:
                book.update_or_create_student(name, last_name=student)
            rows = book.find_submission_notebook(stem, ASSIGNMENT, name).grades
            scores = {row.name: None if row.needs_manual_grade else row.score for row in rows}
        marks, failure = [], ""
        for cell in done.cells:
            if is_solution(cell) and cell.cell_type == "code":
                failure = running.hint(cell)
            if not grading(cell).get("grade"):
                continue
            points = scores[grading(cell)["grade_id"]]
            note = "marked by hand" if points is None else ""
            if is_test(cell) and not points:
                note = failure or running.hint(cell)
            if is_by_hand(cell) and points == 0:
                note = "no answer"
            state = BY_HAND if points is None else MARKED
            if running.is_unmarked(cell):
                points, state = None, NOT_MARKED
            row = (student, stem, exercise_name(cell), points, grading(cell)["points"], state, note)
            marks.append(Mark(*row))
        return marks

    def _graded(self, stem: str) -> list[NotebookNode]:
        return [cell for cell in self.masters[stem].cells if grading(cell).get("grade")]

    def _none(self, student: str, stem: str, why: str) -> list[Mark]:
        """No points for a notebook that is not there."""
        return [
            Mark(student, stem, exercise_name(cell), 0.0, grading(cell)["points"], MARKED, why)
            for cell in self._graded(stem)
        ]

    def _not_marked(self, student: str, stem: str, why: str) -> Mark:
        """The one row of a notebook that could not be marked, which is no reason for 0 points."""
        most = sum(grading(cell)["points"] for cell in self._graded(stem))
        return Mark(student, stem, WHOLE_NOTEBOOK, None, most, NOT_MARKED, why)


def _executor(hidden: Sequence[Path], limits: Limits) -> type:
    from nbgrader.preprocessors import NbGraderPreprocessor

    class Execute(NbGraderPreprocessor):
        """Runs what the exercises need; see :func:`labkit.course.marking.running.execute`."""

        def preprocess(self, notebook: NotebookNode, resources: dict) -> tuple:
            running.execute(notebook, hidden, limits)
            return notebook, resources

    return Execute
