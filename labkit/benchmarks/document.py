"""What ``labkit bench all`` has measured, as tables of ``docs/speed.md`` and ``docs/gpu.md``.

::

    LABKIT_DTYPE=bfloat16 labkit bench all --device cpu --out docs/speed/bfloat16
    LABKIT_DTYPE=float32 labkit bench all --device cpu --out docs/speed/float32
    python -m labkit.benchmarks.document

``make speed`` does the three, on a quiet machine: delete a folder to measure it anew. A part that
has not been measured has no line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from labkit.benchmarks.session import MODELS, RACES
from labkit.core.files import with_region, write_text

MEASURED = Path("docs") / "speed"
FOLDERS = ("bfloat16", "float32", "gpu")
"""The folders of :data:`MEASURED`: the CPU in both precisions, and a GPU."""

BEGIN, END = "<!-- measured: make speed -->", "<!-- end of what is measured -->"

WORK = {
    "evaluate": "score {sentences:,} sentences",
    "probe": "score {sentences:,} sentences in {permutations} orders",
    "tune": "{steps} training steps of {batch_size}",
}
PRECISIONS = {"bfloat16": "bf16", "float32": "fp32"}


def races(measured: Path) -> list[str]:
    """labkit against PEFT: a line for each benchmark that lies in the folders."""
    heads = ["on", "model", "virtual tokens", "work", "labkit, seconds", "PEFT as it comes"]
    rows = [_race(RACES[name][0], part) for name, part in _parts(measured, RACES)]
    return _table([*heads, "PEFT tuned by hand", "of the matrix rate"], rows)


def agreements(measured: Path) -> list[str]:
    """How far fp32 scores are from the CPU's: a line for each model on each other device."""
    rows = [
        [
            _device(part),
            part["backbone"],
            f"{part['largest_difference']:.1e}",
            f"{100 * part['same_predictions']:.3g} % of {part['sentences']}",
        ]
        for _, part in _parts(measured, [f"agreement-{name}" for name in MODELS])
        if part["device"] != "cpu"
    ]
    return _table(["on", "model", "largest difference of a score", "same predictions"], rows)


PAGES = {"docs/speed.md": races, "docs/gpu.md": agreements}


def _parts(measured: Path, names: Mapping | list[str]) -> Iterator[tuple[str, dict]]:
    for folder in FOLDERS:
        for name in names:
            file = measured / folder / f"{name}.json"
            if file.is_file():
                yield name, json.loads(file.read_text(encoding="utf-8"))


def _race(verb: str, part: Mapping) -> list[str]:
    return [
        f"{_device(part)}, {PRECISIONS[part['dtype']]}",
        part["backbone"],
        str(part["length"]),
        WORK[verb].format(**part),
        f"{part['labkit_s']:.3g}",
        f"{part['ratio']:.3g} ×",
        f"{part['ratio_tuned']:.3g} ×",
        _share(part),
    ]


def _device(part: Mapping) -> str:
    """``cuda:0 (NAME)`` is NAME."""
    device = str(part["device"])
    return "CPU" if device == "cpu" else device.partition("(")[2].rstrip(")") or device


def _share(part: Mapping) -> str:
    """Training is not held against the rate."""
    if "gemm_fraction" not in part:
        return "–"
    share, rate = 100 * part["gemm_fraction"], part["gemm_rate_gflops"] / 1000
    return f"{share:.2g} % of {rate:.3g} TFLOP/s"


def _table(heads: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]


def page(root: Path, name: str) -> str:
    """One of :data:`PAGES` with its table made anew."""
    text = (root / name).read_text(encoding="utf-8")
    return with_region(text, BEGIN, END, PAGES[name](root / MEASURED))


def main() -> None:
    """Write the tables into the pages, in a checkout."""
    for name in PAGES:
        write_text(Path(name), page(Path(), name))
        print(f"{name} is written")


if __name__ == "__main__":
    main()
