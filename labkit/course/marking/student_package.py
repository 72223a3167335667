"""What students get: `labkit assignments export DIR`.

The skeletons, the library with its data, half a page of instructions, the Chinese of the skeletons'
text, and of the Makefile what a student needs. No masters, no tests, no Chinese of answers and no
history: solutions stand in all four.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from labkit.core.errors import LabError
from labkit.core.files import folder_aside, real, write_text
from labkit.course.language import translation
from labkit.course.marking.skeletons import SKELETONS, skeletons

README = Path(__file__).with_name("student") / "README.md"
FOLDERS = ("labkit", "data")
FILES = (
    *("pyproject.toml", "requirements.lock", "environment.yml", "LICENSE", "CITATION.cff"),
    *("docs/student.md", "docs/glossary.md"),
)
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
MAINTAINERS = "# ---- for maintainers ----"
"""The line of the Makefile from which on nothing is for students."""

TARGETS = ("lab", "clean")


def export(root: Path, folder: Path) -> list[Path]:
    """Write the students' package; returns what stands at its top.

    Args:
        root: the course's folder.
        folder: a new or empty one.

    Raises:
        LabError: if the folder holds something or can't be written, if the course's folder is no
            checkout, or as :func:`labkit.course.marking.skeletons.skeletons` does.
    """
    root, folder = real(root), real(folder)
    texts = skeletons(root)
    missing = [n for n in (*FOLDERS, *FILES, "Makefile") if not (root / n).exists()]
    if missing:
        raise LabError(f"{root} is no checkout of the course: it has no {', '.join(missing)}")
    try:
        if folder.exists() and any(folder.iterdir()):
            raise LabError(f"{folder} holds other files; choose a new or empty folder")
        with folder_aside(folder) as package:
            for name in FOLDERS:
                shutil.copytree(root / name, package / name, ignore=LEFT_OUT)
            for name in FILES:
                (package / name).parent.mkdir(exist_ok=True)
                shutil.copy(root / name, package / name)
            shutil.copy(README, package / "README.md")
            makefile = student_makefile((root / "Makefile").read_text("utf-8"))
            write_text(package / "Makefile", makefile)
            for name, text in texts.items():
                write_text(package / SKELETONS / name, text)
                _write_chinese(root, package, name, nbformat.reads(text, as_version=4))
    except OSError as error:
        raise LabError(f"{folder} can't be written: {error.strerror} ({error.filename})") from error
    return sorted(folder.iterdir())


def _write_chinese(root: Path, package: Path, name: str, skeleton: NotebookNode) -> None:
    """What the skeleton says, in Chinese: without the cells where an answer stood."""
    source = root / "docs" / translation.LANGUAGE / f"{Path(name).stem}.md"
    english = {c.id: c.source for c in skeleton.cells if c.cell_type == "markdown"}
    cells = {
        cell: text
        for cell, text in translation.read(source).items()
        if cell in english and text.digest == translation.digest(english[cell])
    }
    if cells:
        target = package / source.relative_to(root)
        target.parent.mkdir(exist_ok=True)
        translation.write(target, cells)


def student_makefile(text: str) -> str:
    """The Makefile up to where maintainers' targets begin, with the help for what is left."""
    kept, mark, _ = text.partition(MAINTAINERS)
    if not mark:
        raise LabError(f"the course's Makefile has no line {MAINTAINERS!r}")
    head, lines = [], kept.splitlines()
    for line in lines:
        shown = not line.startswith("## make ") or line.split()[2] in TARGETS
        if shown and not line.startswith("##    "):
            head.append(line)
    return "\n".join(head).rstrip() + "\n"
