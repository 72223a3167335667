"""The table of ``docs/speed.md``, from what ``labkit bench all`` has measured in both precisions.

::

    LABKIT_DTYPE=bfloat16 labkit bench all --out docs/speed/bfloat16
    LABKIT_DTYPE=float32 labkit bench all --out docs/speed/float32
    python -m labkit.benchmarks.document

``make speed`` does the three. On a quiet machine: delete a folder to measure it anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from labkit.benchmarks.session import RACES
from labkit.core.errors import LabError
from labkit.core.files import write_text

PAGE, MEASURED = "docs/speed.md", "docs/speed"
PRECISIONS = {"bfloat16": "bf16", "float32": "fp32"}
WORK = {
    "evaluate": "score {sentences} sentences",
    "probe": "score {sentences} sentences in {permutations} orders",
    "tune": "{steps} training steps of {batch_size}",
}
HEAD = (
    "| model | virtual tokens | work | precision | labkit, seconds | PEFT as it comes "
    "| PEFT tuned by hand | share of the matrix rate |\n|---|---|---|---|---|---|---|---|\n"
)
_BETWEEN = re.compile(r"(?<=<!-- measured -->\n\n).*?(?=\n<!-- end -->)", re.S)


def table(folder: Path) -> str:
    """What lies in the folder as Markdown, one line for each benchmark and measured precision.

    Raises:
        LabError: for a precision that has been measured in part.
    """
    return HEAD + "".join(f"| {' | '.join(cells)} |\n" for cells in _lines(folder))


def _lines(folder: Path) -> Iterator[list[str]]:
    for name, (verb, *_) in RACES.items():
        for precision, short in PRECISIONS.items():
            if not (folder / precision).is_dir():
                continue
            file = folder / precision / f"{name}.json"
            if not file.is_file():
                raise LabError(
                    f"{file} is missing: LABKIT_DTYPE={precision} labkit bench all --out "
                    f"{folder / precision}"
                )
            yield _cells(verb, short, json.loads(file.read_text("utf-8")))


def _cells(verb: str, precision: str, found: Mapping) -> list[str]:
    share = found.get("gemm_fraction")
    return [
        found["backbone"],
        str(found["length"]),
        WORK[verb].format(**found),
        precision,
        f"{found['labkit_s']:.2f}",
        f"{found['ratio']:.1f} ×",
        f"{found['ratio_tuned']:.2f} ×",
        "" if share is None else f"{100 * share:.0f} %",
    ]


def write(root: Path) -> None:
    """Put the table into the page."""
    page = root / PAGE
    text = page.read_text("utf-8")
    write_text(page, _BETWEEN.sub(lambda _: table(root / MEASURED), text))


if __name__ == "__main__":
    write(Path.cwd())
    print(f"{PAGE} is written")
