"""The students' skeletons: `labkit assignments build`.

`assignments/` is written from the masters in `notebooks/` by nbgrader's own generator (solutions
and hidden tests cleared, outputs cleared, cells locked, checksums set). Two things are added to
what it writes: tests, and given cells that call an answer themselves, are tagged
``raises-exception``, so that "Run All Cells" goes on after an exercise that is not solved yet; and
the metadata keeps nothing of the machine that ran the master. nbgrader's checksums stay as they
are.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from labkit.core.errors import LabError, first_line
from labkit.course.exercises.cells import grading, is_solution, is_test, read, unsolved_cells

MASTERS, SKELETONS = "notebooks", "assignments"
ASSIGNMENT = "labkit"
"""The course is one assignment of nbgrader's, with a notebook for each subject."""

COURSE = "soft-prompt-lab"

KEEPS_RUNNING = "raises-exception"


def build(root: Path) -> list[Path]:
    """Write ``root/assignments`` anew; returns the skeletons.

    Raises:
        LabError: if there are no masters, nbgrader refuses one, or somebody has worked in what
            would be replaced; nothing is changed then.
    """
    folder = root / SKELETONS
    texts = skeletons(root)
    for file in sorted(folder.glob("*.ipynb")):
        if _holds_work(file):
            raise LabError(
                f"{file} holds answers or cells that were run, which would be lost; move it to "
                "another folder, then build again"
            )
    folder.mkdir(exist_ok=True)
    for file in folder.glob("*.ipynb"):
        if file.name not in texts:
            file.unlink()
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return [folder / name for name in texts]


def _holds_work(file: Path) -> bool:
    """Whether a skeleton was worked in: of what is no notebook, nothing is known to be."""
    try:
        cells = read(file).cells
    except Exception:  # a leftover, or a file that is damaged
        return False
    return any(
        cell.get("outputs")
        or cell.get("execution_count")
        or (is_solution(cell) and _is_written(cell))
        for cell in cells
    )


def _is_written(cell: NotebookNode) -> bool:
    """Whether a solution cell is another than the one that nbgrader released."""
    from nbgrader.utils import compute_checksum

    released = grading(cell).get("checksum")
    if released is None:  # by nbgrader's defaults
        return not any(mark in cell.source for mark in ("YOUR CODE HERE", "YOUR ANSWER HERE"))
    return compute_checksum(cell) != released


def skeletons(root: Path) -> dict[str, str]:
    """File name → text of each skeleton, as the masters are now."""
    paths = masters(root)
    with tempfile.TemporaryDirectory() as folder:
        course = Path(folder)
        generate(course, paths)
        released = [course / "release" / ASSIGNMENT / path.name for path in paths]
        return {path.name: nbformat.writes(_finished(read(path))) + "\n" for path in released}


def masters(root: Path) -> list[Path]:
    """The solved notebooks: the subjects in the order of the course, then the labs."""
    paths = sorted((root / MASTERS).glob("*.ipynb"))
    if not paths:
        raise LabError(
            f"{root / MASTERS} holds no notebooks; call this in the course's folder, or --root"
        )
    return paths


def generate(course: Path, paths: list[Path]) -> None:
    """Put masters into the ``source`` of an nbgrader course and generate its release.

    Raises:
        LabError: if nbgrader is missing, or refuses a master (its last lines say why).
    """
    source = course / "source" / ASSIGNMENT
    source.mkdir(parents=True)
    for path in paths:
        _require_notebook(path)
        shutil.copy(path, source)
    result = nbgrader_api(course).generate_assignment(ASSIGNMENT)
    if not result["success"]:
        why = (result.get("error") or result.get("log") or "").strip().splitlines()
        raise LabError(
            f"nbgrader can't make the skeletons: {why[-1] if why else 'no reason given'}"
        )


def _require_notebook(path: Path) -> None:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(said, dict) or said.get("nbformat") != 4:
            raise ValueError("its nbformat is not 4")
        nbformat.validate(nbformat.from_dict(said))
    except Exception as error:  # nbformat raises whatever the damage leads to
        raise LabError(
            f"{path} is no notebook of JupyterLab's ({first_line(error)[:120]}); open it there and "
            "save it again, or take it away"
        ) from error


def nbgrader_api(course: Path, **settings: dict[str, Any]) -> Any:
    """nbgrader's API for the course in a folder; ``settings``: class → its options."""
    try:
        from alembic.script import ScriptDirectory
        from nbgrader import api
        from nbgrader.apps import NbGraderAPI
        from nbgrader.dbutil import ALEMBIC_DIR
    except ImportError as error:
        raise LabError(
            'nbgrader is not installed; `pip install -c requirements.lock -e ".[instructor]"`'
        ) from error
    from traitlets.config import Config

    # nbgrader asks a program `alembic` for this, which is found only in an activated environment.
    api.get_alembic_version = ScriptDirectory(ALEMBIC_DIR).get_current_head
    config = Config(settings)
    config.CourseDirectory.root = str(course)
    config.CourseDirectory.db_url = f"sqlite:///{course / 'gradebook.db'}"
    config.CourseDirectory.course_id = COURSE
    return NbGraderAPI(config=config)


def _finished(notebook: NotebookNode) -> NotebookNode:
    kernel = notebook.metadata.get("kernelspec", {}).get("name", "python3")
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": kernel},
        "language_info": {"name": "python"},
    }
    unsolved = unsolved_cells(notebook.cells)
    for index, cell in enumerate(notebook.cells):
        tags = [t for t in cell.metadata.get("tags", []) if not t.startswith("nbval-")]
        tags += [KEEPS_RUNNING] if is_test(cell) or index in unsolved else []
        cell.metadata.pop("tags", None)
        if tags:
            cell.metadata["tags"] = tags
    return notebook
