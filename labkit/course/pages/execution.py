"""Executing the notebooks: `python -m labkit.course.pages.execution NOTEBOOK…` (make masters).

A master is stored executed, once from top to bottom, without anything that only its kernel could
show and without time stamps, so that a second execution changes nothing but numbers. What its
widgets could show is recorded, for pages without a kernel.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from labkit.course.interact.recorded import record
from labkit.course.interact.widgets import strip_widgets

CELL_TIMEOUT_S = 900


def execute(path: Path, *, store: bool = True) -> float:
    """Run a notebook in its own folder and store it with its outputs; returns the seconds it took.

    Args:
        store: false: leave the file as it is.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails; the file is left as it was.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    begun = time.monotonic()
    with record():
        client.execute()
    took = time.monotonic() - begun
    if store:
        strip_widgets(notebook)
        nbformat.write(notebook, path)
    return took


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(name, flush=True)
        execute(Path(name))
