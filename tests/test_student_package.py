"""What students get, opened as a student opens it: no solution in it, and the checks run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from conftest import ROOT
from labkit import cli
from labkit.core import assets
from labkit.core.errors import LabError
from labkit.course.exercises.cells import grading, is_skippable, is_solution, read, read_answers
from labkit.course.language import translation
from labkit.course.marking import proofs, skeletons
from labkit.course.marking.student_package import export

FIRST = "01_hard_prompt"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("class") / "for students"
    export(ROOT, folder)
    return folder


def texts(package: Path) -> dict[str, str]:
    names = {path.relative_to(package).as_posix(): path for path in package.rglob("*")}
    return {
        name: path.read_text("utf-8", errors="replace")
        for name, path in names.items()
        if path.is_file() and path.suffix in ("", ".py", ".md", ".ipynb", ".toml", ".json", ".yml")
    }


def test_only_what_a_student_needs_is_there(package: Path) -> None:
    assert sorted(path.name for path in package.iterdir()) == [
        "CITATION.cff",
        "LICENSE",
        "Makefile",
        "README.md",
        "assignments",
        "data",
        "docs",
        "environment.yml",
        "labkit",
        "pyproject.toml",
        "requirements.lock",
    ]
    assert sorted(path.name for path in (package / "docs").iterdir()) == [
        "glossary.md",
        "student.md",
        "zh",
    ]
    assert not [path for path in package.rglob("*") if path.name.startswith((".", "__pycache__"))]
    readme = (package / "README.md").read_text("utf-8")
    for link in ("docs/student.md", "docs/glossary.md", "assignments/01_hard_prompt.ipynb"):
        assert link in readme and (package / link).is_file()


def test_no_solution_stands_anywhere(package: Path) -> None:
    """No solved cell, no hidden case, no answer of the tests, in whatever file."""
    content = {name: " ".join(text.split()) for name, text in texts(package).items()}
    secrets: list[str] = []
    for path in skeletons.masters(ROOT):
        master = read(path)
        skeleton = read(package / "assignments" / path.name)
        assert proofs.leaks(master, skeleton) == []
        for cell in master.cells:
            lines = proofs.solution_lines(cell)
            if is_solution(cell) and cell.cell_type == "code":
                # one line may well stand in the library, which does the same
                lines = ["\n".join(lines)] if len(lines) > 1 else []
            secrets += lines
    for kind in ("right_solutions", "wrong_solutions"):
        secrets += [file.read_text("utf-8") for file in (ROOT / "tests" / kind).rglob("*.py")]
    assert len(secrets) > 200
    squeezed = {" ".join(secret.split()) for secret in secrets} - {""}
    assert [(n, s) for s in squeezed for n, text in content.items() if s in text] == []


def test_the_first_assignment_is_what_make_lab_opens(package: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed here")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "-n", "lab"]
    done = subprocess.run(command, cwd=package, env=inherited, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "lab/tree/assignments/01_hard_prompt.ipynb" in done.stdout
    (install,) = [line for line in done.stdout.splitlines() if "pip install" in line]
    assert install.endswith("-e ."), "no extra: a student needs no tools of a maintainer"
    shown = subprocess.run(["make"], cwd=package, env=inherited, capture_output=True, text=True)
    targets = [line.split()[1] for line in shown.stdout.splitlines() if line.startswith("make ")]
    assert targets == ["lab", "clean"]


def test_the_chinese_of_the_text_is_there_and_that_of_the_answers_is_not(package: Path) -> None:
    answers = []
    for path in skeletons.masters(ROOT):
        whole = translation.read(ROOT / "docs/zh" / f"{path.stem}.md")
        given = translation.read(package / "docs/zh" / f"{path.stem}.md")
        solved = {c.id for c in read(path).cells if is_solution(c) and c.cell_type == "markdown"}
        assert given == {name: cell for name, cell in whole.items() if name not in solved}
        answers += [whole[name].text for name in solved]
    assert len(answers) >= 9
    everything = "\n".join(texts(package).values())
    assert [answer for answer in answers if answer in everything] == []


def test_make_lab_in_chinese_opens_a_chinese_assignment(package: Path, tmp_path: Path) -> None:
    home = tmp_path / "中文 course"
    shutil.copytree(package, home)
    build = [sys.executable, "-m", "labkit.course.language.translation"]
    environment = {**os.environ, "PYTHONPATH": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(build, cwd=home, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for path in (package / "assignments").glob("*.ipynb"):
        english, chinese = read(path), read(home / "assignments/zh" / path.name)
        for before, after in zip(english.cells, chinese.cells, strict=True):
            own = before.cell_type == "code" or is_solution(before)
            assert (before.source == after.source) == own, before.id
    if shutil.which("make") is None:
        pytest.skip("make is not installed here")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "-n", "lab", "LABKIT_LANG=zh"]
    done = subprocess.run(command, cwd=home, env=inherited, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (opened,) = re.findall(r"lab/tree/(\S+\.ipynb)", done.stdout)
    assert (home / opened).is_file() and opened == f"assignments/zh/{FIRST}.ipynb"
    assert " ".join(build[1:]) in done.stdout


WORK = """
import sys, nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, kernel_name="python3", allow_errors=True, timeout=300).execute()
nbformat.write(notebook, sys.argv[1])
"""


def test_a_student_solves_an_exercise_and_is_told_so(package: Path, tmp_path: Path) -> None:
    """In a copy, with its labkit, in a kernel: one right answer, the others still empty."""
    if not assets.is_ready(assets.ASSETS["smollm2"]):
        pytest.skip("smollm2 is not in the cache; run `labkit assets fetch`")
    home = tmp_path / "my course"
    shutil.copytree(package, home)
    file = home / "assignments" / f"{FIRST}.ipynb"
    notebook = nbformat.read(file, as_version=4)
    answer = read_answers(ROOT / "tests/right_solutions" / FIRST)["ex3"]["index"]
    where = nbformat.v4.new_code_cell("import labkit\nprint(labkit.__file__)")
    for cell in notebook.cells:
        if grading(cell).get("grade_id") == "ex3-solution":
            cell.source = answer
    notebook.cells = [where, *(cell for cell in notebook.cells if not is_skippable(cell))]
    nbformat.write(notebook, file)
    environment = {**os.environ, "PYTHONPATH": str(home)}
    command = [sys.executable, "-c", WORK, str(file)]
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    cells = {c.id: c for c in nbformat.read(file, as_version=4).cells}
    first = next(iter(cells.values()))
    assert Path(first.outputs[0].text.strip()) == home / "labkit" / "__init__.py"
    (output,) = cells["ex3-check"].outputs
    assert output.output_type == "stream" and output.text.startswith("✓")
    errors = [o.evalue for o in cells["ex5-check"].outputs if o.output_type == "error"]
    assert len(errors) == 1 and "still empty" in errors[0]


def test_the_command_names_what_is_in_the_way(tmp_path: Path, capfd) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    for words, expected in (
        ([tmp_path / "full", "--root", ROOT], "holds other files"),
        ([tmp_path / "full" / "mine" / "x", "--root", ROOT], "can't be written"),
        ([tmp_path / "new", "--root", tmp_path], "holds no notebooks"),
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main(["assignments", "export", *map(str, words)])
        error = capfd.readouterr().err
        assert ended.value.code == 2 and expected in error and len(error.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks" / f"{FIRST}.ipynb", tmp_path / "notebooks")
    with pytest.raises(LabError, match="is no checkout of the course: it has no labkit"):
        export(tmp_path, tmp_path / "new")
