"""Folders of ``<split>.jsonl`` files as tasks, with the words to ask with in ``task.json``.

``train.jsonl`` is needed; where ``validation.jsonl`` (or ``dev``, ``valid``, ``val``) or
``test.jsonl`` is missing, a seeded tenth of train takes its place. Each line is an object with a
``label`` and texts. Labels are names, numbers 0 … C−1, ``true`` and ``false``, or numbers with
fractions (a regression over their range).

``task.json`` beside them is optional, see `settings`.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from labkit.core.errors import LabError
from labkit.core.tasks.rows import Layout, as_example, read_jsonl
from labkit.core.tasks.settings import SETTINGS, is_number, read_prompts, read_settings
from labkit.core.tasks.splits import split_examples
from labkit.core.tasks.task import Example, Task, TaskPrompt
from labkit.core.templates import Template

_FILES = {
    "train": ("train",),
    "validation": ("validation", "dev", "valid", "val"),
    "test": ("test",),
}
SHARE = 0.1
"""Of train, for validation and test where they are missing."""

_NO_TEXTS = ("label", "id", "idx")

Rows = Mapping[str, Sequence[Mapping]]


def folder_task(folder: Path) -> Task:
    """The task that a folder holds.

    Raises:
        LabError: for a line or an entry that can't be right, naming it.
    """
    about = read_settings(folder)
    rows = _read_splits(folder)
    columns = _text_columns(rows)
    _require_labels(folder, rows, columns)
    labels, span, numbered = _labels(folder, rows, about)
    prompts = read_prompts(folder, about, labels, span)
    used = dict.fromkeys(f for p in prompts.values() for f in Template(p.template).fields)
    for name in used:
        if name not in columns and not (name == "text" and len(columns) == 1):
            raise LabError(
                f"{folder / SETTINGS}: a template asks for the field {name!r}; the lines have "
                f"{', '.join(columns)}"
            )
    build = functools.partial(_task, folder.resolve().name, numbered, labels, span, prompts)
    # without templates: a column called text, or else all that are texts
    return build(_columns_of(used, columns) or (("text",) if "text" in columns else columns))


def _task(
    name: str,
    rows: Rows,
    labels: tuple[str, ...],
    span: tuple[float, float] | None,
    prompts: Mapping[str, TaskPrompt],
    fields: tuple[str, ...],
) -> Task:
    """The task with these texts: no two parts that are cut here share one of them."""
    layout = Layout(fields, labels, span)
    splits = {
        split: tuple(as_example(name, row, layout, split) for row in given)
        for split, given in rows.items()
    }
    shares = {s: SHARE for s in ("validation", "test") if s not in splits}
    if shares:
        splits |= split_examples(splits["train"], shares, by=_texts_of_their_own(splits["train"]))
    build = functools.partial(_with_fields, name, rows, labels, span, prompts)
    return Task(name, fields, labels, splits, name, span, prompts, with_texts=build)


def _texts_of_their_own(examples: Sequence[Example]) -> list[str] | None:
    """Fields whose texts may not stand on two sides of a cut: not a language or a source that more
    examples have than a part holds. None, for all of them, where no other field is left."""
    fields = []
    for name in examples[0].fields:
        counts = Counter(example.fields[name] for example in examples)
        if max(counts.values()) <= max(SHARE * len(examples), 1):
            fields.append(name)
    return fields or None


def _with_fields(
    name: str,
    rows: Rows,
    labels: tuple[str, ...],
    span: tuple[float, float] | None,
    prompts: Mapping[str, TaskPrompt],
    names: Iterable[str],
) -> Task | None:
    fields = _columns_of(names, _text_columns(rows))
    return _task(name, rows, labels, span, prompts, fields) if fields else None


def _columns_of(names: Iterable[str], columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns that a template's fields mean: ``{text}`` is the only one, where there is one."""
    if len(columns) == 1:
        return columns
    return tuple(name for name in names if name in columns)


# ---- rows ----


def _read_splits(folder: Path) -> dict[str, list[dict]]:
    rows = {}
    for split, names in _FILES.items():
        files = [folder / f"{name}.jsonl" for name in names]
        files = [file for file in files if file.exists() or file.is_symlink()]
        if len(files) > 1:
            raise LabError(f"{folder} has {' and '.join(f.name for f in files)}; keep one of them")
        if files:
            rows[split] = read_jsonl(files[0])
    if "train" not in rows:
        raise LabError(f"{folder} has no train.jsonl; put one JSON object on each of its lines")
    return rows


def _text_columns(rows: Rows) -> tuple[str, ...]:
    """Columns that hold a text in any line, in the order in which they appear."""
    names = dict.fromkeys(
        key for row in rows["train"] for key, value in row.items() if isinstance(value, str)
    )
    return tuple(name for name in names if name not in _NO_TEXTS)


def _require_labels(folder: Path, rows: Rows, columns: tuple[str, ...]) -> None:
    needs = (
        f"{folder}: every line needs a label and at least one text; for example "
        '{"text": "good fun", "label": "positive"}'
    )
    for split, given in rows.items():
        for row in given:
            if row.get("label") is None:
                instead = [name for name in ("labels", "Label", "target", "y") if name in row]
                hint = f"; rename {instead[0]!r} to 'label'" if instead else ""
                raise LabError(f"{needs} ({split} example {row['idx']} has no label{hint})")
    if not columns:
        raise LabError(f"{needs} (train example {rows['train'][0]['idx']} has no text)")


# ---- labels ----


def _labels(
    folder: Path, rows: Rows, about: Mapping
) -> tuple[tuple[str, ...], tuple[float, float] | None, dict[str, list[Mapping]]]:
    """Class names or a range, and the rows with class numbers or values as labels."""
    values = [row["label"] for given in rows.values() for row in given]
    for split, given in rows.items():
        for row in given:
            label = row["label"]
            if not isinstance(label, str) and not is_number(label):
                raise LabError(
                    f"{folder}: {split} example {row['idx']} has the label "
                    f"{json.dumps(label)[:60]}; give one name or one number"
                )
    # true is a number to Python, and equal to 1
    kinds = {next(k for k in (str, bool, int, float) if isinstance(v, k)) for v in values}
    if len(kinds) > 1 and kinds != {int, float}:
        raise LabError(
            f"{folder}: the labels are of several kinds; give only names, only numbers, or only "
            "true and false"
        )
    span = _range(folder, values, about)
    if span is not None:
        return (), span, {split: list(given) for split, given in rows.items()}
    order = _class_order(folder, rows, values, about)
    names = about.get("labels", [_spoken(value) for value in order])
    number = {value: index for index, value in enumerate(order)}
    return (
        tuple(names),
        None,
        {
            split: [{**row, "label": number[row["label"]]} for row in given]
            for split, given in rows.items()
        },
    )


def _range(folder: Path, values: list, about: Mapping) -> tuple[float, float] | None:
    """Lowest and highest value of a regression; None for classes."""
    if "range" in about:
        low, high = about["range"]
        return float(low), float(high)
    if "labels" in about or not any(isinstance(value, float) for value in values):
        return None
    low, high = float(min(values)), float(max(values))
    if all(float(value).is_integer() for value in values):
        raise LabError(
            f"{folder}: the labels are whole numbers written with a point ({low}, {high}); write "
            f'{low:.0f}, {high:.0f} for classes, or put "range": [{low:g}, {high:g}] into '
            f"{SETTINGS} for a regression"
        )
    if low == high:
        raise LabError(f"{folder}: all labels are {low}; a regression needs two values")
    return low, high


def _class_order(folder: Path, rows: Rows, values: list, about: Mapping) -> list:
    """The labels as they stand in the rows, in the order of their class numbers."""
    seen = sorted(set(values))
    if "labels" in about:
        named = about["labels"]
        order = named if isinstance(seen[0], str) else list(range(len(named)))
        unknown = [value for value in seen if value not in order]
        if unknown:
            raise LabError(
                f"{folder}: label {unknown[0]!r} is none of the classes in {SETTINGS} "
                f"({', '.join(map(str, named))})"
            )
        return order
    if not isinstance(seen[0], str) and seen[0] < 0:
        raise LabError(
            f"{folder}: label {seen[0]} is none of the classes 0 … C−1; number them from 0 or give "
            "them names (where −1 stands for a label that is kept secret, leave that file out)"
        )
    if isinstance(seen[0], str):
        _refuse_spellings(folder, seen)
    taught = {row["label"] for row in rows["train"]}
    for value in seen:
        if value not in taught:
            raise LabError(
                f"{folder}: no line of train.jsonl has the label {value!r}, others have; add some, "
                f'or list all classes as "labels" in {SETTINGS}'
            )
    return seen


def _refuse_spellings(folder: Path, names: list[str]) -> None:
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(" ".join(name.split()).lower(), name)
        if other != name:
            raise LabError(
                f"{folder}: the labels {other!r} and {name!r} differ in case or spaces only; write "
                "them one way"
            )


def _spoken(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
