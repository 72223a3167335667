"""How long the notebooks take, on a processor with bf16 and on one without, and where that is told.

::

    LABKIT_DTYPE=bfloat16 python -m labkit.course.pages.minutes measure [--store] [NOTEBOOK…]
    LABKIT_DTYPE=float32 python -m labkit.course.pages.minutes measure [NOTEBOOK…]
    python -m labkit.course.pages.minutes write

The first two execute the masters and keep the seconds in ``docs/minutes.json`` (``--store``: and
the masters with their outputs), on a quiet machine; what is measured already stays. The last one
puts the minutes into the table of the README and the first cells of the notebooks, in both
languages. A processor without bf16 is the same one in fp32: what is slow there is the arithmetic.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

import nbformat
import torch

from labkit.core.files import write_text
from labkit.core.loading import fast_dtype
from labkit.course.language import translation
from labkit.course.pages.execution import execute

MEASURED = "docs/minutes.json"
WITH, WITHOUT = "bfloat16", "float32"

Seconds = Mapping[str, Mapping[str, float]]
"""Precision → stem of a notebook → seconds."""

_TABLE_HEAD = re.compile(r"\| notebook \| what it shows \|.*\n\|.*\n")
_TABLE_ROW = re.compile(r"^(\| \[[^]]+\]\(notebooks/(\w+)\.ipynb\) .*?\|[^|]*\|)[^\n]*$", re.M)
_TOLD = {
    "en": re.compile(r"About [\w ]+ on two processor cores to run(?: \([^)]*without bf16\))?"),
    "zh": re.compile(r"在两个处理器核心上运行约 ?[\d一]+ ?分钟(?:（没有 bf16 时约 \d+ 分钟）)?"),
}


def seconds(root: Path) -> dict[str, dict[str, float]]:
    """What was measured so far."""
    file = root / MEASURED
    return json.loads(file.read_text("utf-8")) if file.is_file() else {}


def measure(root: Path, paths: list[Path], *, store: bool) -> None:
    """Execute masters in this machine's precision, and keep how long each one took."""
    precision = str(fast_dtype(torch.device("cpu"))).removeprefix("torch.")
    for path in paths:
        known = seconds(root)
        if path.stem in known.get(precision, {}):
            continue
        took = execute(path, store=store)
        known.setdefault(precision, {})[path.stem] = round(took, 1)
        write_text(root / MEASURED, json.dumps(known, indent=1, sort_keys=True) + "\n")
        print(f"{path.stem} {precision} {took:.0f} s", flush=True)


def write(root: Path) -> None:
    """Tell the minutes of notebooks that were measured in both precisions."""
    known = seconds(root)
    readme = root / "README.md"
    write_text(readme, with_columns(readme.read_text("utf-8"), known))
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        if not _measured(path.stem, known):
            continue
        notebook = nbformat.read(path, as_version=4)
        first = notebook.cells[0]
        first.source = told(first.source, "en", path.stem, known)
        nbformat.write(notebook, path)
        file = root / "docs" / translation.LANGUAGE / f"{path.stem}.md"
        if file.is_file():
            text = told(file.read_text("utf-8"), "zh", path.stem, known)
            mark = rf"(<!-- cell {re.escape(first.id)} )[0-9a-f]+"
            write_text(file, re.sub(mark, rf"\g<1>{translation.digest(first.source)}", text))


def minutes(took: float) -> int:
    """Whole minutes, rounded up."""
    return max(1, math.ceil(took / 60))


def with_columns(readme: str, known: Seconds) -> str:
    """The README with two columns of minutes, a dash where one was not measured."""

    def row(match: re.Match[str]) -> str:
        columns = (known.get(each, {}).get(match[2]) for each in (WITH, WITHOUT))
        shown = ("–" if took is None else str(minutes(took)) for took in columns)
        return f"{match[1]} {' | '.join(shown)} |"

    head = (
        "| notebook | what it shows | minutes, 2 cores with bf16 | without |\n|---|---|---|---|\n"
    )
    return _TABLE_ROW.sub(row, _TABLE_HEAD.sub(head, readme, count=1))


def told(text: str, language: str, stem: str, known: Seconds) -> str:
    """A first cell that tells the minutes of its notebook, those without bf16 where they differ."""
    quick, slow = (minutes(known[each][stem]) for each in (WITH, WITHOUT))
    if language == "zh":
        sentence = f"在两个处理器核心上运行约 {quick} 分钟"
        without = f"（没有 bf16 时约 {slow} 分钟）"
    else:
        unit = "a minute" if quick == 1 else f"{quick} minutes"
        sentence = f"About {unit} on two processor cores to run"
        without = f" ({slow} without bf16)"
    if slow != quick:
        sentence += without
    return _TOLD[language].sub(sentence, text, count=1)


def _measured(stem: str, known: Seconds) -> bool:
    return all(stem in known.get(each, {}) for each in (WITH, WITHOUT))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m labkit.course.pages.minutes")
    parser.add_argument("what", choices=("measure", "write"))
    parser.add_argument("--store", action="store_true")
    parser.add_argument("notebooks", nargs="*", type=Path)
    options = parser.parse_intermixed_args()
    root = translation.ROOT
    if options.what == "write":
        write(root)
    else:
        paths = options.notebooks or sorted((root / "notebooks").glob("*.ipynb"))
        measure(root, [path.resolve() for path in paths], store=options.store)


if __name__ == "__main__":
    main()
