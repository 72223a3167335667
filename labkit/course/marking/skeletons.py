"""The students' skeletons: `labkit assignments build`.

`assignments/` is written from the masters in `notebooks/` by nbgrader's own generator (solutions
and hidden tests cleared, outputs cleared, cells locked, checksums set). Two things are added to
what it writes: tests, and given cells that call an answer themselves, are tagged
``raises-exception``, so that "Run All Cells" goes on after an exercise that is not solved yet; and
the metadata keeps nothing of the machine that ran the master. nbgrader's checksums stay as they
are.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from labkit.core.errors import LabError
from labkit.course.exercises.cells import is_test, read, unsolved_cells

MASTERS, SKELETONS = "notebooks", "assignments"
ASSIGNMENT = "labkit"
"""The course is one assignment of nbgrader's, with a notebook for each subject."""

COURSE = "soft-prompt-lab"

KEEPS_RUNNING = "raises-exception"


def build(root: Path) -> list[Path]:
    """Write ``root/assignments`` anew; returns the skeletons.

    Raises:
        LabError: if there are no masters, or nbgrader refuses one.
    """
    folder = root / SKELETONS
    texts = skeletons(root)
    folder.mkdir(exist_ok=True)
    for file in folder.glob("*.ipynb"):
        if file.name not in texts:
            file.unlink()
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return [folder / name for name in texts]


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
        shutil.copy(path, source)
    result = nbgrader_api(course).generate_assignment(ASSIGNMENT)
    if not result["success"]:
        why = (result.get("error") or result.get("log") or "").strip().splitlines()
        raise LabError(
            f"nbgrader can't make the skeletons: {why[-1] if why else 'no reason given'}"
        )


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
    kernel = notebook.metadata.kernelspec
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": kernel.name},
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
