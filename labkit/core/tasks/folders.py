"""Folders of ``<split>.jsonl`` files as tasks."""

from __future__ import annotations

from pathlib import Path

from labkit.core.errors import LabError
from labkit.core.tasks.rows import Layout, as_example, read_jsonl
from labkit.core.tasks.splits import split_examples
from labkit.core.tasks.task import SPLITS, Task


def folder_task(folder: Path) -> Task:
    """A folder with train.jsonl, and optionally validation.jsonl and test.jsonl.

    Labels are strings (class names) or numbers 0 … C−1, or floats (a regression over their range).
    Where validation or test is missing, a seeded tenth of train takes its place.
    """
    name = folder.resolve().name
    rows = {
        s: read_jsonl(folder / f"{s}.jsonl") for s in SPLITS if (folder / f"{s}.jsonl").exists()
    }
    if "train" not in rows:
        raise LabError(f"{folder} has no train.jsonl; put one JSON object on each of its lines")
    first = rows["train"][0]
    fields = tuple(
        k for k, v in first.items() if isinstance(v, str) and k not in ("label", "id", "idx")
    )
    values = [row.get("label") for split in rows.values() for row in split]
    known = _infer(folder, fields, values)
    names = {label: index for index, label in enumerate(known.labels)}
    examples = {}
    for split, given in rows.items():
        numbered = [{**row, "label": names.get(row["label"], row["label"])} for row in given]
        examples[split] = tuple(as_example(name, row, known, split) for row in numbered)
    shares = {s: 0.1 for s in ("validation", "test") if s not in examples}
    splits = {**examples, **split_examples(examples["train"], shares)} if shares else examples
    return Task(
        name=name,
        fields=fields,
        labels=known.labels,
        splits=splits,
        source=name,
        range=known.range,
    )


def _infer(folder: Path, fields: tuple[str, ...], values: list) -> Layout:
    if not fields or None in values:
        raise LabError(
            f"{folder}: every line needs a label and at least one text; for example "
            '{"text": "good fun", "label": "positive"}'
        )
    if all(isinstance(value, str) for value in values):
        return Layout(fields, tuple(sorted(set(values))))
    if all(isinstance(value, int) for value in values):
        return Layout(fields, tuple(str(label) for label in range(max(values) + 1)))
    if all(isinstance(value, int | float) for value in values):
        if min(values) == max(values):
            raise LabError(f"{folder}: all labels are {values[0]}; a regression needs two values")
        return Layout(fields, range=(float(min(values)), float(max(values))))
    raise LabError(f"{folder}: the labels are of several kinds; give only names or only numbers")
