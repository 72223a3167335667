"""From rows of a data set to examples: what each must hold, and what is said when it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labkit.core.errors import LabError
from labkit.core.files import parse_json
from labkit.core.tasks.task import Example


@dataclass(frozen=True)
class Layout:
    """What the rows of a data set hold: text fields, class names or, for a regression, a range."""

    fields: tuple[str, ...]
    labels: tuple[str, ...] = ()
    range: tuple[float, float] | None = None


def as_example(name: str, row: Mapping, known: Layout, split: str) -> Example:
    index = row.get("idx", "?")
    try:
        fields = {field_name: row[field_name] for field_name in known.fields}
        label = row["label"]
    except KeyError as error:
        raise LabError(
            f"task {name!r}, {split} example {index}: the field {error} is missing; the fields are "
            f"{', '.join(known.fields)} and label"
        ) from error
    for field_name, text in fields.items():
        if not isinstance(text, str):
            raise LabError(
                f"task {name!r}, {split} example {index}: the field {field_name!r} is {text!r}; "
                "give a text"
            )
        if not text.strip():
            raise LabError(
                f"task {name!r}, {split} example {index}: the field {field_name!r} is empty; give "
                "it a text or take the example out"
            )
    if known.range is not None:
        low, high = known.range
        if not isinstance(label, int | float) or not low <= label <= high:
            raise LabError(
                f"task {name!r}, {split} example {index}: label {label!r} is not in {low}…{high}"
            )
        return Example(f"{split}-{index}", fields, float(label))
    if label not in range(len(known.labels)):
        raise LabError(
            f"task {name!r}, {split} example {index}: label {label!r} is none of the "
            f"{len(known.labels)} classes (0 … {len(known.labels) - 1})"
        )
    return Example(f"{split}-{index}", fields, int(label))


def read_jsonl(file: Path) -> list[dict]:
    if file.is_dir():
        raise LabError(f"{file} is a folder; put the examples into a file of that name")
    if not file.is_file():
        where = "is a link that leads nowhere" if file.is_symlink() else "does not exist"
        raise LabError(f"{file} {where}; put one JSON object on each of its lines")
    rows: list[dict] = []
    with file.open("rb") as lines:  # so that a line that is not UTF-8 is named too
        for number, line in enumerate(lines, start=1):
            if number == 1 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise LabError(f"{file} is UTF-16 text; save it as UTF-8")
            if not line.strip():
                continue
            try:
                row = parse_json(line)
            except ValueError as error:
                wrong = isinstance(error, UnicodeDecodeError)
                remedy = "save the file as UTF-8" if wrong else "mend that line"
                raise LabError(f"{file}:{number} is not JSON ({error}); {remedy}") from error
            if not isinstance(row, dict):
                raise LabError(
                    f"{file}:{number} is not a JSON object; mend that line (of a list of objects, "
                    "each stands on a line of its own)"
                )
            if b"\\ud" in line.lower():
                _refuse_half_characters(f"{file}:{number}", row)
            rows.append({"idx": len(rows), **row})
    if not rows:
        raise LabError(f"{file} has no examples; put one JSON object on each of its lines")
    return rows


def _refuse_half_characters(place: str, row: dict) -> None:
    for name, value in row.items():
        try:
            str(value).encode("utf-8")
        except UnicodeEncodeError as error:
            raise LabError(
                f"{place} holds half a character in {name!r} (a lone surrogate, \\ud800 … "
                "\\udfff); write the whole one"
            ) from error
