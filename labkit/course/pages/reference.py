"""labkit's reference, from its docstrings: `python -m labkit.course.pages.reference FOLDER`.

pdoc writes a page for each module, with a search of its own; nothing on them needs a network. The
command line (``labkit VERB --help`` explains it) and the tools for marking are left out.
"""

from __future__ import annotations

import pkgutil
import sys
import warnings
from pathlib import Path

import labkit
from labkit.core.errors import LabError

LEFT_OUT = ("labkit.__main__", "labkit.cli", "labkit.course.marking")


def build(folder: Path) -> Path:
    """Write a page for the package and for each of its modules.

    Returns:
        The page of the package itself.

    Raises:
        LabError: if pdoc is not installed.
    """
    try:
        import pdoc
    except ImportError as error:
        raise LabError('the reference needs pdoc: run pip install -e ".[site]"') from error
    for name in labkit.__all__:  # loaded when first used; pdoc looks at what is there
        setattr(labkit, name, getattr(labkit, name))
    pdoc.render.configure(docformat="google", show_source=False, footer_text="Soft Prompt Lab")
    with warnings.catch_warnings():
        # a dataclass's own __init__ has no names to look its annotations up in: shown as written
        warnings.filterwarnings("ignore", "Error parsing type annotation")
        pdoc.pdoc("labkit", *_rooms(), output_directory=folder)
    return folder / "labkit.html"


def _rooms() -> list[str]:
    """The package's own modules and packages, whose modules pdoc finds, and what it must not."""
    rooms = [f"labkit.{module.name}" for module in pkgutil.iter_modules(labkit.__path__)]
    return [*(r for r in rooms if r not in LEFT_OUT), *(f"!{name}" for name in LEFT_OUT)]


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
