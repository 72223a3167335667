"""One subject, one name, everywhere; and notebooks that hold only what a clean run leaves."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest

from conftest import ROOT
from labkit.course.exercises.cells import is_lab

CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SUBJECTS = [path for path in NOTEBOOKS if not is_lab(path.stem)]
LABS = [path for path in NOTEBOOKS if is_lab(path.stem)]
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)

MODULES = sorted((ROOT / "labkit").rglob("*.py"))
each_module = pytest.mark.parametrize(
    "path", MODULES, ids=lambda path: path.relative_to(ROOT / "labkit").as_posix()
)


def subject(path: Path) -> str:
    """``04_shuffle_probe.ipynb`` is about ``shuffle_probe``."""
    return re.fullmatch(r"\d\d_(\w+)", path.stem)[1]


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    cells = nbformat.read(path, as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code" and cell.source.strip()]


def imported_packages(tree: ast.AST) -> set[str]:
    """Top-level names; a relative import counts as ``.``."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." if node.level else node.module.split(".")[0])
    return found


# ------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize("path", SUBJECTS, ids=lambda path: path.stem)
def test_notebook_has_its_module_and_its_tests(path: Path) -> None:
    module = ROOT / "labkit" / subject(path)
    assert module.with_suffix(".py").is_file() or (module / "__init__.py").is_file()
    assert (ROOT / "tests" / f"test_{subject(path)}.py").is_file()


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_lab_has_a_letter_its_checks_and_its_tests(path: Path) -> None:
    assert re.fullmatch(r"lab_[a-z]_\w+", path.stem)
    assert (ROOT / "labkit/course/exercises/checks" / path.stem / "__init__.py").is_file()
    assert (ROOT / "tests" / f"test_{path.stem}.py").is_file()


def test_layers_stand_in_the_order_of_the_notebooks() -> None:
    contract, *_rooms = CONFIG["tool"]["importlinter"]["contracts"]
    layers = [layer.strip("()") for layer in contract["layers"]]
    positions = [layers.index(subject(path)) for path in SUBJECTS]
    assert positions == sorted(positions, reverse=True)


# ----------------------------------------------------------------------------------------- labkit


@each_module
def test_the_environment_is_read_in_three_places(path: Path) -> None:
    # the user's settings, OpenMP's, and a sign for the kernel that executes a master
    if path.relative_to(ROOT / "labkit").as_posix() in (
        *("core/assets.py", "core/threads.py"),
        "course/interact/recorded.py",
    ):
        return
    reads = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    ]
    assert not reads, f"{path.name}: settings are arguments; os.environ in lines {reads}"


# -------------------------------------------------------------------------------------- notebooks


@each_notebook
def test_notebook_imports_nothing_of_ours_but_labkit(path: Path) -> None:
    declared = {re.match(r"[\w-]+", line)[0] for line in CONFIG["project"]["dependencies"]}
    allowed = {"labkit", "IPython", *declared, *sys.stdlib_module_names}
    for cell in code_cells(path):  # a magic is not Python: parsing fails on it too
        assert imported_packages(ast.parse(cell.source)) <= allowed
        assert "sys.path" not in cell.source


@each_notebook
def test_notebook_was_run_once_from_top_to_bottom_without_complaint(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", cell.source


@each_notebook
def test_notebook_opens_everywhere(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata, "saved widget state breaks GitHub's page"
    ids = [cell.id for cell in notebook.cells]
    assert len(ids) == len(set(ids))
    assert path.stat().st_size < 2_000_000, "GitHub shows no larger notebook reliably"


@each_notebook
def test_notebook_names_no_folder_of_the_machine_it_ran_on(path: Path) -> None:
    # letters of a picture's base64 may spell anything
    written = re.sub(r'"image/png": "[^"]*"', "", path.read_text("utf-8"))
    found = re.findall(r"(?:/home|/root|/Users|/tmp|[A-Z]:\\\\)[^\s\"']*", written)
    assert not found


@each_notebook
def test_what_moves_is_not_compared(path: Path) -> None:
    """A saved notebook keeps only the picture below a widget, so the outputs can't be equal."""
    for cell in nbformat.read(path, 4).cells:
        if re.search(r"^(review_box|\w+_slider|\w+_chooser)\(", cell.source, re.MULTILINE):
            assert "nbval-ignore-output" in cell.metadata.get("tags", []), cell.id
