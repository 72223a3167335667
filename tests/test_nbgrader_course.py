"""The masters in a course of nbgrader's own, unchanged: generate, autograde, export.

nbgrader does all of it as its users have it, with one exception that keeps this within a minute:
of the cells that no exercise needs (the long runs and the figures between them) only the imports
are executed.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from conftest import ROOT
from labkit.core import assets
from labkit.course.exercises.cells import (
    exercises,
    grading,
    is_by_hand,
    is_solution,
    is_test,
    read,
    read_answers,
    to_run,
)
from labkit.course.marking import proofs
from labkit.course.marking import skeletons as assignments

FIRST = "01_hard_prompt"
MISTAKE = "ex5"


def submitted(release: Path, master: Path, student: str) -> nbformat.NotebookNode:
    """A student's copy of a released notebook."""
    notebook, solved = read(release), read(master)
    answers = {grading(c)["grade_id"]: c.source for c in solved.cells if is_solution(c)}
    wrong = read_answers(ROOT / "tests/wrong_solutions" / master.stem)[MISTAKE]
    for cell in notebook.cells:
        if is_solution(cell) and student != "empty":
            cell.source = answers[grading(cell)["grade_id"]]
            if student == "wrong" and grading(cell)["grade_id"] == f"{MISTAKE}-solution":
                cell.source = next(iter(wrong.values()))
    return notebook


def executor() -> type:
    """nbgrader's own, without the long given cells."""
    from nbgrader.preprocessors import Execute

    class ExecuteExercises(Execute):
        def preprocess(self, nb, resources=None, km=None):
            self.sources = to_run(nb.cells)
            return super().preprocess(nb, resources, km)

        def preprocess_cell(self, cell, resources, index):
            if index not in self.sources:
                return cell, resources
            whole, cell.source = cell.source, self.sources[index]
            cell, resources = super().preprocess_cell(cell, resources, index)
            cell.source = whole
            return cell, resources

    return ExecuteExercises


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not assets.is_ready(assets.ASSETS["smollm2"]):
        pytest.skip("smollm2 is not in the cache; run `labkit assets fetch`")
    folder = tmp_path_factory.mktemp("course")
    assignments.generate(folder, assignments.masters(ROOT))
    from nbgrader.converters import Autograde

    steps = [
        executor() if step.__name__ == "Execute" else step
        for step in Autograde.autograde_preprocessors.default()
    ]
    api = assignments.nbgrader_api(
        folder, Autograde={"autograde_preprocessors": steps}, Execute={"timeout": 120}
    )
    for student in ("empty", "wrong", "perfect"):
        target = folder / "submitted" / student / assignments.ASSIGNMENT
        target.mkdir(parents=True)
        release = folder / "release" / assignments.ASSIGNMENT / f"{FIRST}.ipynb"
        notebook = submitted(release, ROOT / "notebooks" / f"{FIRST}.ipynb", student)
        nbformat.write(notebook, target / release.name)
        result = api.autograde(assignments.ASSIGNMENT, student)
        assert result["success"], result.get("error")
    return folder


def points(student: str, course: Path) -> dict[str, float]:
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}", assignments.COURSE) as book:
        found = book.find_submission_notebook(FIRST, assignments.ASSIGNMENT, student)
        return {grade.name: grade.auto_score for grade in found.grades}


def test_every_master_was_released(course: Path) -> None:
    released = {path.name for path in (course / "release" / assignments.ASSIGNMENT).iterdir()}
    assert released == {path.name for path in assignments.masters(ROOT)}


def test_autograding_gives_each_submission_what_it_deserves(course: Path) -> None:
    master = read(ROOT / "notebooks" / f"{FIRST}.ipynb")
    full = {grading(c)["grade_id"]: c.metadata.nbgrader.points for c in master.cells if is_test(c)}
    essays = [grading(cell)["grade_id"] for cell in master.cells if is_by_hand(cell)]
    mistaken = next(e for e in exercises(master) if e.name == MISTAKE)
    assert points("perfect", course) == full | dict.fromkeys(essays)
    assert points("empty", course) == dict.fromkeys([*full, *essays], 0)
    lost = {grading(cell)["grade_id"]: 0 for cell in mistaken.tests}
    assert points("wrong", course) == full | lost | dict.fromkeys(essays)


def test_the_autograded_notebook_says_which_mistake_it_was(course: Path) -> None:
    done = read(course / "autograded" / "wrong" / assignments.ASSIGNMENT / f"{FIRST}.ipynb")
    answers = read_answers(ROOT / "tests/wrong_solutions" / FIRST)[MISTAKE]
    hint = proofs.expected_hint(next(iter(answers.values())))
    outputs = [output for cell in done.cells for output in cell.get("outputs", [])]
    said = [output.evalue for output in outputs if output.output_type == "error"]
    assert len(said) == 1 and hint in said[0]


def test_the_marks_can_be_exported(course: Path) -> None:
    command = [sys.executable, "-m", "nbgrader", "export", "--to=grades.csv"]
    done = subprocess.run(command, cwd=course, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with (course / "grades.csv").open(newline="") as file:
        scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    assert scores["empty"] == 0 < scores["wrong"] < scores["perfect"]
